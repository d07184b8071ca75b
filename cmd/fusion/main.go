// Command fusion is the whole of FusionCommerce: the shop, its database when it has no
// other, and what an operator needs beside them.
package main

import (
	"context"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
)

// version is set by the build.
var version = "dev"

// collectAt is how far the heap grows beyond what is alive before it is collected, in
// percent. Little is alive, some megabytes: at Go's usual 100 the collector takes a tenth
// of the processor from a busy shop.
const collectAt = 400

func main() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(collectAt)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	go func() {
		<-ctx.Done()
		stop() // the second signal ends the program at once
	}()
	p := &program{version: version, stdout: os.Stdout, stderr: os.Stderr, environ: os.Environ()}
	code := p.run(ctx, os.Args)
	stop()
	os.Exit(code)
}
