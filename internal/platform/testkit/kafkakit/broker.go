package kafkakit

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"syscall"

	"github.com/IBM/sarama"
	"github.com/onsi/gomega"
)

// broker is one process of the cluster, or the place of one that is down.
type broker struct {
	id       int
	libs     string
	data     string
	settings string
	log      string

	process *os.Process
	exited  <-chan struct{} // closed when the process has ended; nil before the first start
}

func newBroker(id int, dir, libs string) *broker {
	name := "broker-" + strconv.Itoa(id)
	return &broker{
		id: id, libs: libs, data: filepath.Join(dir, name),
		settings: filepath.Join(dir, name+".properties"), log: filepath.Join(dir, name+".log"),
	}
}

// java prepares a class of Kafka to run: in little memory, and compiled once and quickly,
// because it lives for seconds.
func (b *broker) java(class string, args ...string) *exec.Cmd {
	program := "java"
	if home := os.Getenv("JAVA_HOME"); home != "" {
		program = filepath.Join(home, "bin", "java")
	}
	cmd := exec.Command(program, append([]string{
		"-Xms64m", "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:-UsePerfData", "-XX:+ExitOnOutOfMemoryError",
		"-Dlog4j2.level=WARN", "-cp", filepath.Join(b.libs, "*"), class,
	}, args...)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Ctrl-C is for the suite
	dieWithParent(cmd.SysProcAttr)
	return cmd
}

func (b *broker) format(cluster string, users []string) error {
	cmd := b.java("kafka.tools.StorageTool", slices.Concat([]string{"format", "--cluster-id", cluster, "--config", b.settings}, users)...)
	said, err := os.Create(b.log)
	if err != nil {
		return err
	}
	defer func() { _ = said.Close() }()
	cmd.Stdout, cmd.Stderr = said, said
	exited, err := run(cmd)
	if err != nil {
		return fmt.Errorf("format the storage of broker %d: %w", b.id, err)
	}
	<-exited
	if !cmd.ProcessState.Success() {
		return fmt.Errorf("format the storage of broker %d: %s: %s", b.id, cmd.ProcessState, b.lastWords())
	}
	return nil
}

func (b *broker) start() error {
	if b.exited != nil && !closed(b.exited) {
		return fmt.Errorf("broker %d is running", b.id)
	}
	said, err := os.OpenFile(b.log, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() { _ = said.Close() }()
	cmd := b.java("kafka.Kafka", b.settings)
	cmd.Stdout, cmd.Stderr = said, said
	exited, err := run(cmd)
	if err != nil {
		return fmt.Errorf("start broker %d: %w", b.id, err)
	}
	b.process, b.exited = cmd.Process, exited
	return nil
}

// run starts cmd and returns a channel that is closed when it has ended. A goroutine keeps
// its thread for all that time: the death signal comes when the thread that forked ends.
func run(cmd *exec.Cmd) (exited <-chan struct{}, err error) {
	started, done := make(chan error, 1), make(chan struct{})
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		defer close(done)
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait() // the state stays in cmd.ProcessState
		}
	}()
	return done, <-started
}

func closed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

func (b *broker) stop() error { return b.signal(syscall.SIGTERM) }

func (b *broker) kill() error {
	if b.exited == nil {
		return nil
	}
	if err := b.signal(syscall.SIGKILL); err != nil {
		return err
	}
	<-b.exited
	return nil
}

func (b *broker) signal(s syscall.Signal) error {
	err := b.process.Signal(s)
	if errors.Is(err, os.ErrProcessDone) {
		return nil
	}
	return err
}

// serves tells whether the broker is up and the others count on it: it names itself among
// the brokers of the cluster.
func (b *broker) serves(addr string) error {
	if closed(b.exited) {
		return gomega.StopTrying(fmt.Sprintf("broker %d ended", b.id))
	}
	connection := sarama.NewBroker(addr)
	if err := connection.Open(sarama.NewConfig()); err != nil {
		return err
	}
	defer func() { _ = connection.Close() }()
	known, err := connection.GetMetadata(sarama.NewMetadataRequest(sarama.DefaultVersion, []string{}))
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(known.Brokers, func(k *sarama.Broker) bool { return int(k.ID()) == b.id }) {
		return fmt.Errorf("the cluster does not know broker %d yet", b.id)
	}
	return nil
}

// lastWords is the end of what the broker wrote.
func (b *broker) lastWords() string {
	const most = 4000
	said, err := os.ReadFile(b.log)
	if err != nil {
		return err.Error()
	}
	return string(said[max(0, len(said)-most):])
}
