//go:build !linux

package kafkakit

import "syscall"

// dieWithParent has no counterpart outside Linux: the brokers of a suite that was killed
// live on.
func dieWithParent(*syscall.SysProcAttr) {}
