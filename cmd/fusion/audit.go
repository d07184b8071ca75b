package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/urfave/cli/v3"

	"github.com/fusioncommerce/fusion/internal/platform/audit"
	"github.com/fusioncommerce/fusion/internal/platform/db"
)

func (p *program) auditCommand() *cli.Command {
	filters := func() []cli.Flag {
		return []cli.Flag{
			&cli.StringFlag{Name: "actor", Usage: "Only what `WHO` did, such as key:0199c1de-…"},
			&cli.StringFlag{Name: "action", Usage: "Only this `OPERATION` or event, such as updateProduct"},
			&cli.StringFlag{Name: "entity", Usage: "Only what happened to things of this `KIND`, such as product"},
			&cli.StringFlag{Name: "entity-id", Usage: "Only what happened to the one with this `ID`"},
			&cli.StringFlag{Name: "from", Usage: "Only what happened at this `TIME` or later: 2026-11-01 or 2026-11-01T08:00:00Z"},
			&cli.StringFlag{Name: "until", Usage: "Only what happened before this `TIME`"},
		}
	}
	verify := leaf("verify", "Find out whether the audit log was tampered with", "", p.verifyAudit, []cli.Flag{
		&cli.StringFlag{Name: "head", Usage: "`FILE` of heads, or a hash, that was exported earlier: what led to it must still stand"},
	}, jsonFlag(), databaseSettings())
	verify.Description = "Every entry is tied to the one before it by a hash, so that a change, a removal, an insertion or a move shows.\n" +
		"That the end was cut off shows with a head that was kept elsewhere: see fusion audit head."
	return group("audit", "Read the log of who changed what, and find out whether it can be trusted",
		leaf("list", "List who changed what, newest first", "", p.listAudit, filters(), []cli.Flag{
			&cli.IntFlag{Name: "limit", Usage: "At most `N` entries", Value: 20},
		}, jsonFlag(), databaseSettings()),
		verify,
		leaf("head", "Print the head of each shop's chain, to keep elsewhere", "", p.auditHead, jsonFlag(), databaseSettings()),
		leaf("export", "Print the audit log, oldest first", "", p.exportAudit, filters(), []cli.Flag{
			&cli.StringFlag{Name: "format", Usage: "`FORM` of the lines: ndjson or csv", Value: "ndjson"},
		}, databaseSettings()),
	)
}

func auditFilter(cmd *cli.Command) (f audit.Filter, err error) {
	f = audit.Filter{Actor: cmd.String("actor"), Action: cmd.String("action"), Entity: cmd.String("entity"), EntityID: cmd.String("entity-id")}
	if f.From, err = moment(cmd, "from"); err != nil {
		return f, err
	}
	f.Until, err = moment(cmd, "until")
	return f, err
}

// moment reads a flag that holds a time; nil when it was not given.
func moment(cmd *cli.Command, flag string) (*time.Time, error) {
	text := cmd.String(flag)
	if text == "" {
		return nil, nil //nolint:nilnil // none is an answer
	}
	for _, layout := range []string{time.RFC3339, time.DateOnly} {
		if t, err := time.Parse(layout, text); err == nil {
			return &t, nil
		}
	}
	return nil, usageError(fmt.Sprintf("--%s takes a day, 2026-11-01, or a time, 2026-11-01T08:00:00Z, and not %q", flag, text))
}

func (p *program) listAudit(ctx context.Context, cmd *cli.Command) error {
	limit := cmd.Int("limit")
	if limit < 1 || limit > mostEvents {
		return usageError(fmt.Sprintf("--limit takes a number from 1 to %d", mostEvents))
	}
	f, err := auditFilter(cmd)
	if err != nil {
		return err
	}
	return p.asOwner(ctx, cmd, func(ctx context.Context, pool *db.DB) error {
		var list []audit.Sealed
		if err := pool.Read(ctx, func(tx *db.Tx) error {
			list, err = audit.List(ctx, tx, f, 0, limit)
			return err
		}); err != nil {
			return err
		}
		views := []audit.View{}
		for _, e := range list {
			views = append(views, e.View())
		}
		return p.show(cmd, views, func(w io.Writer) {
			var rows [][]string
			for _, v := range views {
				rows = append(rows, []string{
					strconv.FormatInt(v.Seq, 10), when(v.RecordedAt), v.Actor, v.Action, strings.TrimSpace(v.Entity + " " + v.EntityID), strings.Join(v.Changes, ","), oneLine(v.Reason, 60),
				})
			}
			table(w, "No entries.", rows, "SEQ", "TIME", "ACTOR", "ACTION", "WHAT", "CHANGES", "REASON")
		})
	})
}

var (
	errTampered = errors.New("the audit log cannot be trusted")
	hashText    = regexp.MustCompile(`^[0-9a-f]{64}$`)
)

func (p *program) verifyAudit(ctx context.Context, cmd *cli.Command) error {
	heads, err := exportedHeads(cmd.String("head"))
	if err != nil {
		return err
	}
	return p.asOwner(ctx, cmd, func(ctx context.Context, pool *db.DB) error {
		told := time.Now()
		reports, err := audit.Verify(ctx, pool, heads, func(rows int64) {
			if time.Since(told) > 2*time.Second {
				p.say("%s checked …", count(rows, "entry"))
				told = time.Now()
			}
		})
		if err != nil {
			return err
		}
		if err := p.show(cmd, reports, func(w io.Writer) { reportAudit(w, reports) }); err != nil {
			return err
		}
		for _, r := range reports {
			if r.Broken != nil {
				return fmt.Errorf("%w: in the log of %s, %s", errTampered, r.Tenant, r.Broken)
			}
		}
		return nil
	})
}

func reportAudit(w io.Writer, reports []audit.Report) {
	var rows [][]string
	for _, r := range reports {
		state := "whole"
		if r.Broken != nil {
			state = "BROKEN: " + r.Broken.String()
		}
		rows = append(rows, []string{r.Tenant.String(), strconv.FormatInt(r.Rows, 10), strconv.FormatInt(r.Unsealed, 10), strconv.FormatInt(r.Head.Seq, 10), state})
	}
	table(w, "No entries.", rows, "TENANT", "CHECKED", "NOT YET SEALED", "HEAD", "CHAIN")
}

// exportedHeads reads the heads that somebody has kept: lines of a file, or one hash.
func exportedHeads(given string) ([]audit.Head, error) {
	if given == "" {
		return nil, nil
	}
	if hashText.MatchString(given) {
		return []audit.Head{{Hash: given}}, nil
	}
	f, err := os.Open(given)
	if err != nil {
		return nil, usageError(fmt.Sprintf("--head takes a file of heads, or a hash of 64 characters: %v", err))
	}
	defer func() { _ = f.Close() }()
	var heads []audit.Head
	lines := bufio.NewScanner(f)
	for n := 1; lines.Scan(); n++ {
		if strings.TrimSpace(lines.Text()) == "" {
			continue
		}
		h, err := readHead(lines.Text())
		if err != nil {
			return nil, usageError(fmt.Sprintf("line %d of %s is no head: %v", n, given, err))
		}
		heads = append(heads, h)
	}
	return heads, lines.Err()
}

// readHead reads what audit.Head.String writes, and passes over what may follow it.
func readHead(line string) (h audit.Head, err error) {
	words := strings.Fields(line)
	if len(words) < 3 || !hashText.MatchString(words[2]) {
		return h, errors.New("it should be a tenant, a number and a hash")
	}
	if h.Tenant, err = uuid.Parse(words[0]); err != nil {
		return h, err
	}
	h.Seq, err = strconv.ParseInt(words[1], 10, 64)
	h.Hash = words[2]
	return h, err
}

func (p *program) auditHead(ctx context.Context, cmd *cli.Command) error {
	return p.asOwner(ctx, cmd, func(ctx context.Context, pool *db.DB) error {
		var heads []audit.Head
		if err := pool.Across(ctx, func(tx *db.Tx) (err error) {
			heads, err = audit.Heads(ctx, tx)
			return err
		}); err != nil {
			return err
		}
		return p.show(cmd, heads, func(w io.Writer) {
			for _, h := range heads {
				_, _ = fmt.Fprintln(w, h)
			}
		})
	})
}

func (p *program) exportAudit(ctx context.Context, cmd *cli.Command) error {
	f, err := auditFilter(cmd)
	if err != nil {
		return err
	}
	out := bufio.NewWriter(p.stdout)
	write, end, err := audit.Exporting(out, cmd.String("format"))
	if err != nil {
		return usageError("--format: " + err.Error())
	}
	return p.asOwner(ctx, cmd, func(ctx context.Context, pool *db.DB) error {
		if err := pool.InTx(ctx, func(tx *db.Tx) error {
			return audit.Record(ctx, tx, audit.Entry{Action: "exportAudit", Entity: "audit", After: f})
		}); err != nil {
			return err
		}
		if err := audit.Each(ctx, pool, f, write); err != nil {
			return err
		}
		if err := end(); err != nil {
			return err
		}
		return out.Flush()
	})
}
