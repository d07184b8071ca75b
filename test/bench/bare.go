package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/labstack/echo/v4" //nolint:depguard // the floor is what Echo alone can do
)

const bareArgument = "serve-bare"

// page is an answer of the program, for the bare handler to repeat.
type page struct {
	Header map[string]string `json:"header"`
	Body   []byte            `json:"body"`
}

func pageOf(a answer) page {
	p := page{Header: map[string]string{}, Body: a.body}
	for name := range a.header {
		if name != "Date" { // net/http's own
			p.Header[name] = a.header.Get(name)
		}
	}
	return p
}

// serveBare answers every GET with the page that comes first on in, and ends with in.
func serveBare(in io.Reader, out io.Writer) error {
	lines := bufio.NewReader(in)
	first, err := lines.ReadBytes('\n')
	if err != nil {
		return err
	}
	var p page
	if err := json.Unmarshal(first, &p); err != nil {
		return err
	}
	e := echo.New()
	e.GET("/*", func(c echo.Context) error {
		h := c.Response().Header()
		for name, value := range p.Header {
			h.Set(name, value)
		}
		return c.Blob(http.StatusOK, "application/json", p.Body)
	})
	ln, err := new(net.ListenConfig).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	srv := &http.Server{Handler: e, ReadHeaderTimeout: time.Minute}
	go func() {
		_, _ = io.Copy(io.Discard, lines) // until whoever started us is done or gone
		_ = srv.Close()
	}()
	if _, err := fmt.Fprintln(out, ln.Addr()); err != nil {
		return err
	}
	if err := srv.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// withBare runs the bare handler in a process of its own.
func withBare(ctx context.Context, p page, do func(addr string, pid int) error) (err error) {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	first, err := json.Marshal(p)
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, self, bareArgument)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, in.Close(), cmd.Wait()) }()
	if _, err := in.Write(append(first, '\n')); err != nil {
		return err
	}
	addr, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		return fmt.Errorf("the bare handler does not start: %w", err)
	}
	return do(strings.TrimSpace(addr), cmd.Process.Pid)
}
