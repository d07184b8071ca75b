package kafkakit

import "syscall"

// dieWithParent leaves no broker behind when the suite is killed.
func dieWithParent(attr *syscall.SysProcAttr) { attr.Pdeathsig = syscall.SIGKILL }
