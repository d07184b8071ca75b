// Command fusion is the whole of FusionCommerce: the shop, its database when it has no
// other, and what an operator needs beside them.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

// version is set by the build.
var version = "dev"

func main() {
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
