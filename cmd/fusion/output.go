package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/urfave/cli/v3"
)

// show prints data: as one JSON document with --json, else as text does it.
func (p *program) show(cmd *cli.Command, data any, text func(w io.Writer)) error {
	if cmd.Bool("json") {
		return p.json(data)
	}
	text(p.stdout)
	return nil
}

func (p *program) json(data any) error {
	enc := json.NewEncoder(p.stdout)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(data); err != nil {
		return fmt.Errorf("print: %w", err)
	}
	return nil
}

// say tells how it is going.
func (p *program) say(format string, args ...any) {
	_, _ = fmt.Fprintf(p.stderr, format+"\n", args...)
}

// table prints rows below a heading; empty is what it says when there are none.
func table(w io.Writer, empty string, rows [][]string, heading ...string) {
	if len(rows) == 0 {
		_, _ = fmt.Fprintln(w, empty)
		return
	}
	tw := tabwriter.NewWriter(w, 0, 0, 3, ' ', 0)
	for _, row := range append([][]string{heading}, rows...) {
		_, _ = fmt.Fprintln(tw, strings.TrimRight(strings.Join(row, "\t"), "\t"))
	}
	_ = tw.Flush() // a reader that is gone needs no table
}

func when(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05") }

// whenever is a time that may not have come.
func whenever(t *time.Time) string {
	if t == nil {
		return ""
	}
	return when(*t)
}

// count is "1 event" or "3 events".
func count(n int64, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	if stem, ok := strings.CutSuffix(noun, "y"); ok {
		return fmt.Sprintf("%d %sies", n, stem)
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// oneLine keeps a row of a table a row.
func oneLine(s string, most int) string {
	s = strings.Join(strings.Fields(s), " ")
	if r := []rune(s); len(r) > most {
		return string(r[:most-1]) + "…"
	}
	return s
}

// isTerminal decides between a log for people and one for machines.
func isTerminal(f any) bool {
	file, ok := f.(*os.File)
	if !ok {
		return false
	}
	info, err := file.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
