package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/fusioncommerce/fusion/internal/platform/config"
	"github.com/fusioncommerce/fusion/internal/platform/identity"
	"github.com/fusioncommerce/fusion/internal/platform/telemetry"
)

// logger writes to stderr: for people on a terminal, for machines elsewhere, unless the
// configuration decides.
func (p *program) logger(c config.Log, level slog.Leveler) *slog.Logger {
	pretty := c.Format == "pretty" || c.Format == "auto" && isTerminal(p.stderr)
	if !pretty {
		return slog.New(telemetry.Handler(slog.NewJSONHandler(p.stderr, &slog.HandlerOptions{Level: level, ReplaceAttr: readable})))
	}
	return slog.New(telemetry.Handler(&prettyHandler{w: p.stderr, mu: new(sync.Mutex), level: level, colour: p.colour()}))
}

// readable writes a duration with its unit.
func readable(_ []string, a slog.Attr) slog.Attr {
	if a.Value.Kind() == slog.KindDuration {
		a.Value = slog.StringValue(a.Value.Duration().String())
	}
	return a
}

// quietLogger is for commands beside the shop: only what goes wrong.
func (p *program) quietLogger(c config.Log) *slog.Logger {
	return p.logger(c, max(slog.LevelWarn, levelOf(c)))
}

func levelOf(c config.Log) slog.Level {
	var l slog.Level
	_ = l.UnmarshalText([]byte(c.Level)) // config has checked it
	return l
}

// colour follows https://no-color.org.
func (p *program) colour() bool {
	return isTerminal(p.stderr) && !slices.ContainsFunc(p.environ, func(e string) bool {
		value, ok := strings.CutPrefix(e, "NO_COLOR=")
		return ok && value != ""
	})
}

// prettyHandler writes a line a record for somebody who reads along:
//
//	15:04:05 INF POST /v1/orders 201 4.1ms actor=key:0199c1de-…
type prettyHandler struct {
	w      io.Writer
	mu     *sync.Mutex // all that came from one handler write to one place
	level  slog.Leveler
	colour bool
	attrs  []slog.Attr // of With, with the groups in their keys
	group  string
}

func (h *prettyHandler) Enabled(_ context.Context, l slog.Level) bool { return l >= h.level.Level() }

func (h *prettyHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	c := *h
	c.attrs = flatten(slices.Clip(h.attrs), h.group, attrs)
	return &c
}

func (h *prettyHandler) WithGroup(name string) slog.Handler {
	c := *h
	c.group = h.group + name + "."
	return &c
}

// flatten puts the names of groups into the keys of what is in them.
func flatten(into []slog.Attr, group string, attrs []slog.Attr) []slog.Attr {
	for _, a := range attrs {
		a.Value = a.Value.Resolve()
		if a.Value.Kind() != slog.KindGroup {
			into = append(into, slog.Attr{Key: group + a.Key, Value: a.Value})
			continue
		}
		inner := group
		if a.Key != "" {
			inner += a.Key + "."
		}
		into = flatten(into, inner, a.Value.Group())
	}
	return into
}

func (h *prettyHandler) Handle(_ context.Context, r slog.Record) error {
	attrs := slices.Clone(h.attrs)
	r.Attrs(func(a slog.Attr) bool {
		attrs = flatten(attrs, h.group, []slog.Attr{a})
		return true
	})
	message := r.Message
	if message == "request" {
		message, attrs = request(attrs)
	}
	var line strings.Builder
	fmt.Fprintf(&line, "%s %s %s", h.dim(r.Time.Format("15:04:05")), h.mark(r.Level), message)
	for _, a := range attrs {
		if text := a.Value.String(); text != "" && !noise(a) {
			line.WriteString(" " + h.dim(a.Key+"=") + plain(a.Value))
		}
	}
	line.WriteByte('\n')
	h.mu.Lock()
	defer h.mu.Unlock()
	_, err := io.WriteString(h.w, line.String())
	return err
}

// noise says the same in every line of a shop with one merchant.
func noise(a slog.Attr) bool {
	return a.Key == "tenant" && a.Value.String() == identity.DefaultTenant.String()
}

// request puts what a request was and how it ended into the message. Its id is what one
// asks for when it went wrong.
func request(attrs []slog.Attr) (message string, rest []slog.Attr) {
	said := map[string]string{}
	for _, a := range attrs {
		switch a.Key {
		case "method", "route", "status", "took":
			said[a.Key] = plain(a.Value)
		case "round_trips":
		default:
			rest = append(rest, a)
		}
	}
	if said["status"] < "400" {
		rest = slices.DeleteFunc(rest, func(a slog.Attr) bool { return a.Key == "request_id" || a.Key == "actor" })
	}
	return strings.Join([]string{said["method"], said["route"], said["status"], said["took"]}, " "), rest
}

func plain(v slog.Value) string {
	if v.Kind() == slog.KindDuration {
		return short(v.Duration())
	}
	text := v.String()
	if v.Kind() == slog.KindTime {
		text = v.Time().Format(time.RFC3339)
	}
	if strings.ContainsAny(text, " =\"\n\t") {
		return strconv.Quote(text)
	}
	return text
}

// short rounds to what one can feel.
func short(d time.Duration) string {
	switch {
	case d >= time.Second:
		return d.Round(10 * time.Millisecond).String()
	case d >= time.Millisecond:
		return d.Round(100 * time.Microsecond).String()
	}
	return d.Round(time.Microsecond).String()
}

func (h *prettyHandler) dim(s string) string { return h.paint("2", s) }

func (h *prettyHandler) mark(l slog.Level) string {
	switch {
	case l >= slog.LevelError:
		return h.paint("31", "ERR")
	case l >= slog.LevelWarn:
		return h.paint("33", "WRN")
	case l >= slog.LevelInfo:
		return h.paint("32", "INF")
	}
	return h.paint("36", "DBG")
}

func (h *prettyHandler) paint(code, s string) string {
	if !h.colour {
		return s
	}
	return "\x1b[" + code + "m" + s + "\x1b[0m"
}
