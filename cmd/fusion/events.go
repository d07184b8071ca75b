package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"time"

	"github.com/google/uuid"
	"github.com/urfave/cli/v3"

	"github.com/fusioncommerce/fusion/internal/platform/audit"
	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/event"
)

func (p *program) eventsCommand() *cli.Command {
	consumer := func() []cli.Flag {
		return []cli.Flag{&cli.StringFlag{Name: "consumer", Usage: "Only deliveries to this `NAME`"}}
	}
	return group("events", "Read the event log, and see to events that consumers could not handle",
		leaf("list", "List what happened in the shop, oldest first", "", p.listEvents, []cli.Flag{
			&cli.StringFlag{Name: "topic", Usage: "Only events of this `TYPE`, such as order.created"},
			&cli.StringFlag{Name: "after", Usage: "Only what came after the event with this `ID`"},
			&cli.IntFlag{Name: "limit", Usage: "At most `N` events", Value: 20},
		}, jsonFlag(), databaseSettings()),
		leaf("backlog", "Show what waits for each consumer", "", p.backlog, jsonFlag(), databaseSettings()),
		leaf("parked", "List deliveries that failed too often and wait for a person", "", p.parked, consumer(), jsonFlag(), databaseSettings()),
		leaf("retry", "Try parked deliveries again: those of one event, or all", "[EVENT-ID]", p.retryParked, consumer(), jsonFlag(), databaseSettings()),
		leaf("drop", "Give parked deliveries up; the events stay in the log", "[EVENT-ID]", p.dropParked,
			consumer(), yesFlag("Do it: the consumer will never handle them"), jsonFlag(), databaseSettings()),
		leaf("replay", "Deliver the log to a consumer again", "CONSUMER", p.replay, []cli.Flag{
			&cli.StringFlag{Name: "after", Usage: "Only what came after the event with this `ID`"},
		}, yesFlag("Do it: the consumer handles again what it has handled"), jsonFlag(), databaseSettings()),
		leaf("unsubscribe", "End a consumer that no program has any more", "CONSUMER", p.unsubscribe,
			yesFlag("Do it: what waits for the consumer is given up"), jsonFlag(), databaseSettings()),
	)
}

// mostEvents bounds what is read at once; --after goes on from there.
const mostEvents = 10_000

func (p *program) listEvents(ctx context.Context, cmd *cli.Command) error {
	limit := cmd.Int("limit")
	if limit < 1 || limit > mostEvents {
		return usageError(fmt.Sprintf("--limit takes a number from 1 to %d", mostEvents))
	}
	after, err := eventID(cmd.String("after"))
	if err != nil {
		return err
	}
	return p.asOwner(ctx, cmd, func(ctx context.Context, pool *db.DB) error {
		facts, err := readLog(ctx, pool, cmd.String("topic"), after, limit)
		if err != nil {
			return err
		}
		return p.show(cmd, facts, func(w io.Writer) {
			var rows [][]string
			for _, f := range facts {
				rows = append(rows, []string{when(f.OccurredAt), f.Type, f.Subject, strconv.FormatInt(f.Sequence, 10), f.ID.String()})
			}
			table(w, "No events.", rows, "TIME", "TYPE", "SUBJECT", "SEQUENCE", "EVENT-ID")
		})
	})
}

func readLog(ctx context.Context, pool *db.DB, topic string, after uuid.UUID, limit int) (facts []event.Recorded, err error) {
	log := event.NewLog()
	err = pool.Read(ctx, func(tx *db.Tx) error {
		var start int64
		if after != uuid.Nil {
			if start, err = position(ctx, tx, after); err != nil {
				return err
			}
		}
		facts, err = log.Since(ctx, tx, topic, start, limit)
		return err
	})
	return facts, err
}

func position(ctx context.Context, tx *db.Tx, id uuid.UUID) (int64, error) {
	seq, found, err := event.NewLog().Position(ctx, tx, id)
	if err == nil && !found {
		err = fmt.Errorf("there is no event %s", id)
	}
	return seq, err
}

// eventID reads an optional id.
func eventID(text string) (uuid.UUID, error) {
	if text == "" {
		return uuid.Nil, nil
	}
	id, err := uuid.Parse(text)
	if err != nil || id == uuid.Nil {
		return uuid.Nil, usageError(fmt.Sprintf("%q is not the id of an event", text))
	}
	return id, nil
}

func (p *program) backlog(ctx context.Context, cmd *cli.Command) error {
	return p.asOwner(ctx, cmd, func(ctx context.Context, pool *db.DB) error {
		list, err := event.Backlogs(ctx, pool)
		if err != nil {
			return err
		}
		return p.show(cmd, list, func(w io.Writer) {
			var rows [][]string
			for _, b := range list {
				oldest := ""
				if b.Oldest != nil {
					oldest = age(time.Since(*b.Oldest))
				}
				rows = append(rows, []string{
					b.Consumer, b.Topic, strconv.FormatInt(b.Waiting, 10), strconv.FormatInt(b.Failing, 10), strconv.FormatInt(b.Parked, 10), oldest,
				})
			}
			table(w, "There are no consumers yet: the shop has not run.", rows, "CONSUMER", "TOPIC", "WAITING", "FAILING", "PARKED", "OLDEST")
		})
	})
}

func age(d time.Duration) string { return max(d, 0).Round(time.Second).String() }

// matching are the parked deliveries that a command line names.
func matching(ctx context.Context, pool *db.DB, consumer string, id uuid.UUID) ([]event.Parked, error) {
	list, err := event.ListParked(ctx, pool)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(list, func(d event.Parked) bool {
		return consumer != "" && d.Consumer != consumer || id != uuid.Nil && d.Event != id
	}), nil
}

func parkedTable(w io.Writer, list []event.Parked) {
	var rows [][]string
	for _, d := range list {
		rows = append(rows, []string{d.Consumer, d.Type, d.Event.String(), strconv.Itoa(d.Attempts), when(d.ParkedAt), oneLine(d.Error, 100)})
	}
	table(w, "Nothing is parked.", rows, "CONSUMER", "TYPE", "EVENT-ID", "ATTEMPTS", "PARKED", "ERROR")
}

func (p *program) parked(ctx context.Context, cmd *cli.Command) error {
	return p.asOwner(ctx, cmd, func(ctx context.Context, pool *db.DB) error {
		list, err := matching(ctx, pool, cmd.String("consumer"), uuid.Nil)
		if err != nil {
			return err
		}
		return p.show(cmd, list, func(w io.Writer) { parkedTable(w, list) })
	})
}

func (p *program) retryParked(ctx context.Context, cmd *cli.Command) error {
	return p.changeParked(ctx, cmd, "retryEvents", "retried", "will be tried again by the running shop", event.RetryParked)
}

func (p *program) dropParked(ctx context.Context, cmd *cli.Command) error {
	if cmd.Bool("yes") {
		return p.changeParked(ctx, cmd, "dropEvents", "dropped", givenUp, event.DropParked)
	}
	id, err := eventID(cmd.Args().First())
	if err != nil {
		return err
	}
	return p.asOwner(ctx, cmd, func(ctx context.Context, pool *db.DB) error {
		list, err := matching(ctx, pool, cmd.String("consumer"), id)
		if err != nil {
			return err
		}
		if len(list) == 0 {
			return p.changed(cmd, id, 0, "dropped", givenUp)
		}
		p.say("This would give up %s:", count(int64(len(list)), "delivery"))
		parkedTable(p.stderr, list)
		return usageError("nothing was changed: add --yes to do it")
	})
}

const givenUp = "given up"

type changeParked func(ctx context.Context, pool *db.DB, consumer string, event uuid.UUID) (int64, error)

func (p *program) changeParked(ctx context.Context, cmd *cli.Command, action, verb, outcome string, change changeParked) error {
	id, err := eventID(cmd.Args().First())
	if err != nil {
		return err
	}
	return p.asOwner(ctx, cmd, func(ctx context.Context, pool *db.DB) error {
		consumer := cmd.String("consumer")
		if err := noted(ctx, pool, audit.Entry{Action: action, Entity: "event", EntityID: unlessNil(id), After: map[string]string{"consumer": consumer}}); err != nil {
			return err
		}
		n, err := change(ctx, pool, consumer, id)
		if err != nil {
			return err
		}
		return p.changed(cmd, id, n, verb, outcome)
	})
}

// unlessNil is empty for all of them.
func unlessNil(id uuid.UUID) string {
	if id == uuid.Nil {
		return ""
	}
	return id.String()
}

// changed reports. Nothing to do is no error, unless something was named that is not there.
func (p *program) changed(cmd *cli.Command, id uuid.UUID, n int64, verb, outcome string) error {
	if n == 0 && (id != uuid.Nil || cmd.IsSet("consumer")) {
		return errors.New("no parked delivery matches: fusion events parked shows those there are")
	}
	return p.show(cmd, map[string]int64{verb: n}, func(w io.Writer) {
		_, _ = fmt.Fprintf(w, "%s %s.\n", count(n, "delivery"), outcome)
	})
}

func (p *program) replay(ctx context.Context, cmd *cli.Command) error {
	after, err := eventID(cmd.String("after"))
	if err != nil {
		return err
	}
	if !cmd.Bool("yes") {
		return usageError("nothing was changed: a replay makes the consumer handle again what it has handled; add --yes to do it")
	}
	return p.asOwner(ctx, cmd, func(ctx context.Context, pool *db.DB) error {
		var start int64
		if after != uuid.Nil {
			if err := pool.Read(ctx, func(tx *db.Tx) (err error) {
				start, err = position(ctx, tx, after)
				return err
			}); err != nil {
				return err
			}
		}
		if err := noted(ctx, pool, audit.Entry{Action: "replayEvents", Entity: "consumer", EntityID: cmd.Args().First(), After: map[string]string{"after": unlessNil(after)}}); err != nil {
			return err
		}
		n, err := event.Replay(ctx, pool, cmd.Args().First(), start)
		if err != nil {
			return err
		}
		return p.show(cmd, map[string]int64{"replayed": n}, func(w io.Writer) {
			_, _ = fmt.Fprintf(w, "%s will be handled again by the running shop.\n", count(n, "event"))
		})
	})
}

func (p *program) unsubscribe(ctx context.Context, cmd *cli.Command) error {
	a, err := p.blueprint()
	if err != nil {
		return err
	}
	defer func() { _ = a.Close() }() // it was never connected
	if name := cmd.Args().First(); slices.Contains(a.Consumers(), name) {
		return usageError(name + " is a consumer of this program: without it, what it does would not be done")
	}
	if !cmd.Bool("yes") {
		return usageError("nothing was changed: what waits for the consumer would be given up; add --yes to do it")
	}
	return p.asOwner(ctx, cmd, func(ctx context.Context, pool *db.DB) error {
		if err := noted(ctx, pool, audit.Entry{Action: "unsubscribe", Entity: "consumer", EntityID: cmd.Args().First()}); err != nil {
			return err
		}
		n, err := event.Unsubscribe(ctx, pool, cmd.Args().First())
		if err != nil {
			return err
		}
		return p.show(cmd, map[string]int64{"dropped": n}, func(w io.Writer) {
			_, _ = fmt.Fprintf(w, "%s ended, %s given up.\n", cmd.Args().First(), count(n, "delivery"))
		})
	})
}
