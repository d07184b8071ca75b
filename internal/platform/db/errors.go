package db

import (
	"database/sql"
	"database/sql/driver"
	"errors"
	"io"
	"net"
	"strings"
	"syscall"

	"github.com/lib/pq"
)

// IsNoRows reports that a Get found nothing.
func IsNoRows(err error) bool { return errors.Is(err, sql.ErrNoRows) }

// Violates reports whether err is a violation of the named constraint.
func Violates(err error, constraint string) bool {
	pe, ok := errors.AsType[*pq.Error](err)
	return ok && pe.Constraint == constraint
}

// IsContention reports a deadlock or a serialization failure: nothing is wrong,
// and the same transaction may well succeed the next time.
func IsContention(err error) bool {
	if errors.Is(err, errOutdated) {
		return true
	}
	pe, ok := errors.AsType[*pq.Error](err)
	return ok && (pe.Code == "40001" || pe.Code == "40P01")
}

// lostSight reports that a row went which another one was to refer to. Who looks again finds
// out that it is not there, unless the statements are wrong.
func lostSight(err error) bool {
	pe, ok := errors.AsType[*pq.Error](err)
	return ok && pe.Code == "23503"
}

// IsOutage reports that the transaction failed for a reason that lies outside of it: the
// server went away, refused or gave up. A statement that ran out of its time is not one.
func IsOutage(err error) bool {
	if isConnectionLoss(err) || IsShortage(err) {
		return true
	}
	_, said := errors.AsType[*pq.Error](err)
	return !said && errors.Is(err, ErrUnavailable)
}

const queryCanceled = "57014"

// IsShortage reports that the server answers, and refuses for a reason that lies
// outside of the statement: no space, no memory, a lock that nobody gave back, a
// shutdown. A statement that took longer than it may is not among them.
func IsShortage(err error) bool {
	pe, ok := errors.AsType[*pq.Error](err)
	return ok && unavailable(pe) && pe.Code != queryCanceled
}

// IsRejected reports that the server does not accept the values themselves: no number, too
// long, against a constraint. Trying again changes nothing.
func IsRejected(err error) bool {
	pe, ok := errors.AsType[*pq.Error](err)
	if !ok {
		return false
	}
	switch pe.Code.Class() {
	case "22", "23", "54":
		return true
	}
	return false
}

// Text makes any string one that PostgreSQL can store: error messages quote what
// they were given.
func Text(s string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
}

func isConnectionLoss(err error) bool {
	if errors.Is(err, driver.ErrBadConn) || errors.Is(err, sql.ErrConnDone) || errors.Is(err, io.EOF) ||
		errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNRESET) {
		return true
	}
	if _, ok := errors.AsType[*net.OpError](err); ok {
		return true
	}
	pe, ok := errors.AsType[*pq.Error](err)
	return ok && (pe.Code.Class() == "08" || pe.Code == "57P01" || pe.Code == "57P02" || pe.Code == "57P03")
}
