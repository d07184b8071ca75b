//go:build !linux

package pgcluster

import (
	"os/exec"
	"strconv"
	"strings"
	"syscall"
)

// dieWithParent has no counterpart outside Linux: a server whose owner was
// killed lives on until the next Start adopts it.
func dieWithParent(*syscall.SysProcAttr, syscall.Signal) {}

func descriptorPath(int) (string, bool) { return "", false }

func zombie(pid int) bool { return strings.HasPrefix(ps(pid, "stat="), "Z") }

func commandLine(pid int) string { return ps(pid, "command=") }

func worksIn(int, string) (stands, known bool) { return false, false }

func ps(pid int, column string) string {
	out, err := exec.Command("ps", "-ww", "-o", column, "-p", strconv.Itoa(pid)).Output() //nolint:gosec,noctx // a number, and it answers at once
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(out))
}
