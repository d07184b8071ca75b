package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/lib/pq"

	"github.com/fusioncommerce/fusion/internal/platform/db"
)

var errUnreachable = errors.New("the database cannot be reached")

// explained is an error in words for people, with what it was for errors.Is.
type explained struct {
	words string
	kind  error
	cause error
}

func (e explained) Error() string   { return e.words }
func (e explained) Unwrap() []error { return []error{e.kind, e.cause} }

// reach says of a failure to talk to the database at dsn what there is to look at; other
// errors pass as they are.
func (d *database) reach(err error, dsn string) error {
	if err == nil || errors.Is(err, errUnreachable) {
		return err
	}
	setting := d.setting(dsn)
	var advice string
	pe, answered := errors.AsType[*pq.Error](err)
	_, noHost := errors.AsType[*net.DNSError](err)
	switch {
	case answered && pe.Code.Class() == "28":
		advice = "Mend the role or its password in " + setting
	case answered && pe.Code == "3D000":
		advice = "Create it, or mend its name in " + setting
	case errors.Is(err, pq.ErrSSLNotSupported):
		advice = "Add sslmode=disable to " + setting + ", or switch SSL on in the server"
	case noHost, db.IsOutage(err), errors.Is(err, context.DeadlineExceeded), errors.Is(err, pq.ErrCouldNotDetectUsername):
		advice = "Is PostgreSQL running there, and is " + setting + " right?"
	default:
		return err
	}
	if d.cluster != nil {
		advice = "PostgreSQL's own log is " + shown(filepath.Join(d.options.Dir, "postgres.log"))
	}
	return explained{fmt.Sprintf("%s: %s.\n%s", errUnreachable, strings.TrimRight(wire(err), "."), advice), errUnreachable, err}
}

// setting is where the operator wrote a DSN.
func (d *database) setting(dsn string) string {
	if dsn == d.owner && d.app != "" {
		return "FUSION_DATABASE_MIGRATE_URL"
	}
	return "FUSION_DATABASE_URL"
}

var errDatabaseURL = errors.New("the database URL cannot be used")

// unusable says what the driver does not like about a DSN, as far as it surely does not
// repeat the password.
func (d *database) unusable(err error, dsn string) error {
	why := "the PostgreSQL driver does not understand it"
	if said := strings.TrimPrefix(err.Error(), "pq: "); strings.HasPrefix(said, "wrong value for ") {
		why = said
	}
	return explained{fmt.Sprintf("%s cannot be used: %s", d.setting(dsn), why), errDatabaseURL, nil}
}

// wire says what happened between the two machines, without the layers it came through.
func wire(err error) string {
	if e, ok := errors.AsType[*net.DNSError](err); ok {
		return "there is no host named " + e.Name
	}
	if e, ok := errors.AsType[*net.OpError](err); ok && e.Addr != nil {
		switch {
		case errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, syscall.ENOENT):
			return fmt.Sprintf("nothing listens on %s", e.Addr)
		case e.Timeout():
			return fmt.Sprintf("%s does not answer", e.Addr)
		}
	}
	if e, ok := errors.AsType[*pq.Error](err); ok {
		return e.Message
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Sprintf("it does not answer within %s", answerTimeout)
	}
	return err.Error()
}
