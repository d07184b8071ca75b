//go:build !linux

package lab

import (
	"errors"
	"syscall"
)

func endWithUs() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

func pin() (unpin func()) { return func() {} }

func gone(pid int) bool { return errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) }
