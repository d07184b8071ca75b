package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/urfave/cli/v3"
)

func (p *program) healthCommand() *cli.Command {
	return leaf("health", "Ask a running shop whether it is ready: exit 0 when it is", "", p.health, []cli.Flag{
		&cli.StringFlag{Name: "url", Usage: "`URL` of the shop", DefaultText: "where the settings say that it listens"},
	}, jsonFlag(), settings("http.addr"))
}

// readiness is what /readyz says.
type readiness struct {
	URL    string            `json:"url"`
	Ready  bool              `json:"ready"`
	Checks map[string]string `json:"checks"`
}

func (p *program) health(ctx context.Context, cmd *cli.Command) error {
	loaded, err := p.load(cmd)
	if err != nil {
		return err
	}
	var trust *tls.Config
	url := strings.TrimRight(cmd.String("url"), "/")
	if url == "" {
		url = urlOf(schemeOf(loaded.Config), loaded.Config.HTTP.Addr)
		trust = toItself(loaded.Config)
	}
	r, err := probe(ctx, url, trust)
	if err != nil {
		return err
	}
	if err := p.show(cmd, r, func(w io.Writer) {
		for _, name := range slices.Sorted(maps.Keys(r.Checks)) {
			_, _ = fmt.Fprintf(w, "%s %s\n", name, r.Checks[name])
		}
	}); err != nil {
		return err
	}
	if !r.Ready {
		return fmt.Errorf("the shop at %s is not ready", url)
	}
	return nil
}

// probe asks a shop how it is; trust nil is the system's. An error means that none answers.
func probe(ctx context.Context, url string, trust *tls.Config) (readiness, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/readyz", http.NoBody)
	if err != nil {
		return readiness{}, usageError(fmt.Sprintf("%q is not a URL", url))
	}
	asking := &http.Transport{TLSClientConfig: trust}
	defer asking.CloseIdleConnections()
	res, err := (&http.Client{Transport: asking}).Do(req)
	if err != nil {
		return readiness{}, fmt.Errorf("no shop answers at %s: %s", url, unanswered(err))
	}
	defer func() { _ = res.Body.Close() }()
	r := readiness{URL: url, Ready: res.StatusCode == http.StatusOK}
	if err := json.NewDecoder(io.LimitReader(res.Body, 1<<20)).Decode(&r); err != nil || r.Checks == nil {
		return r, fmt.Errorf("what answers at %s is not FusionCommerce", url)
	}
	return r, nil
}

func unanswered(err error) string {
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return "nothing listens there"
	case errors.Is(err, context.DeadlineExceeded):
		return "it takes longer than 5 seconds"
	}
	return err.Error()
}
