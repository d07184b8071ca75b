package main

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/fusioncommerce/fusion/internal/platform/config"
	"github.com/fusioncommerce/fusion/internal/platform/event"
	"github.com/fusioncommerce/fusion/internal/platform/kafka"
	"github.com/fusioncommerce/fusion/internal/platform/migrate"
	"github.com/fusioncommerce/fusion/internal/platform/pgcluster"
)

func (p *program) doctorCommand() *cli.Command {
	c := leaf("doctor", "Check all that the shop needs, and say what to do: exit 6 when something is wrong", "", p.doctor, jsonFlag(), settings())
	c.Description = "Run it beside the shop with the same settings, or before the first start."
	return c
}

// finding is the result of one check.
type finding struct {
	Check  string `json:"check"`
	State  string `json:"state"` // one of the states below
	Detail string `json:"detail"`
	Fix    string `json:"fix,omitempty"`
}

const (
	fine    = "ok"
	warning = "warning" // works, and is better mended
	problem = "problem"
	skipped = "skipped" // could not be checked because of another problem
)

var errProblems = errors.New("doctor found problems")

// checkup is one run of the doctor.
type checkup struct {
	findings []finding
}

func (c *checkup) note(check, state, detail, fix string) {
	c.findings = append(c.findings, finding{check, state, detail, fix})
}

func (c *checkup) ok(check, format string, args ...any) {
	c.note(check, fine, fmt.Sprintf(format, args...), "")
}

// failed takes an error whose first line says what is wrong and whose others what to do.
func (c *checkup) failed(check string, err error, otherwise string) {
	detail, fix, _ := strings.Cut(sentence(err), "\n")
	c.note(check, problem, detail, cmp.Or(strings.ReplaceAll(fix, "\n", " "), otherwise))
}

func (c *checkup) skip(because string, checks ...string) {
	for _, check := range checks {
		c.note(check, skipped, because, "")
	}
}

func (p *program) doctor(ctx context.Context, cmd *cli.Command) error {
	c := &checkup{}
	loaded, err := p.load(cmd)
	if wrong, ok := errors.AsType[*config.Error](err); ok {
		for _, w := range wrong.Problems {
			c.note("config", problem, w.Detail, "")
		}
		c.skip("the settings must be right first", "address", "database", "role", "schema", "clock", "events", "secrets", "broker", "mail", "certificates", "limits")
	} else if err != nil {
		return err
	} else {
		p.examine(ctx, c, loaded)
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	problems := c.problems()
	if err := p.show(cmd, map[string]any{"ok": problems == 0, "findings": c.findings}, c.print); err != nil {
		return err
	}
	if problems > 0 {
		return explained{"doctor found " + count(int64(problems), "problem"), errProblems, nil}
	}
	return nil
}

func (c *checkup) problems() (n int) {
	for _, f := range c.findings {
		if f.State == problem {
			n++
		}
	}
	return n
}

func (c *checkup) print(w io.Writer) {
	marks := map[string]string{fine: "✓", warning: "!", problem: "✗", skipped: "–"}
	for _, f := range c.findings {
		_, _ = fmt.Fprintf(w, "  %s %-10s %s\n", marks[f.State], f.Check, f.Detail)
		if f.Fix != "" {
			_, _ = fmt.Fprintf(w, "    %-10s fix: %s\n", "", f.Fix)
		}
	}
}

func (p *program) examine(ctx context.Context, c *checkup, loaded config.Loaded) {
	cfg := loaded.Config
	names, err := chosen(cfg.Modules)
	if err != nil {
		c.failed("config", err, "Mend it in "+loaded.Origin("modules"))
		names = moduleNames()
	} else {
		c.ok("config", "%s", origins(loaded))
	}
	if n := len(cfg.Bootstrap.Key.Reveal()); n > 0 && n < weakKey {
		c.note("config", warning, fmt.Sprintf("the bootstrap key has only %d characters", n), "Use a longer one, such as from: openssl rand -base64 32")
	}
	c.address(ctx, cfg)
	p.examineDatabase(ctx, c, cfg, names)
	c.broker(ctx, cfg)
	c.mail(ctx, cfg)
	c.certificates(cfg)
	c.limits(ctx, cfg)
}

// brokerPatience is how long the brokers may take to answer.
const brokerPatience = 10 * time.Second

func (c *checkup) broker(ctx context.Context, cfg config.Config) {
	if cfg.Bus.Driver != "kafka" {
		c.ok("broker", "none is needed: events are carried by the database")
		return
	}
	asking, cancel := context.WithTimeout(ctx, brokerPatience)
	defer cancel()
	k, err := kafka.New(brokersOf(cfg.Kafka), slog.New(slog.DiscardHandler))
	if err == nil {
		err = k.Check(asking)
	}
	where := strings.Join(cfg.Kafka.Brokers, ", ")
	switch {
	case errors.Is(err, kafka.ErrMissing):
		c.note("broker", warning, "Kafka at "+where+" answers, and "+err.Error(), "The start of the shop makes the topics that are missing")
	case errors.Is(err, kafka.ErrStranger):
		c.note("broker", problem, "Kafka at "+where+" answers, and "+err.Error(), "Check kafka.sasl, kafka.user and kafka.password; orders are accepted meanwhile, and wait")
	case err != nil:
		c.note("broker", problem, "Kafka at "+where+" is out of reach: "+err.Error(), "Check kafka.brokers, and that the brokers name addresses that can be reached from here; orders are accepted meanwhile, and wait")
	default:
		c.ok("broker", "Kafka at %s has all topics", where)
	}
}

// origins counts where the settings come from.
func origins(loaded config.Loaded) string {
	from := map[string]int{}
	for _, r := range loaded.Rows() {
		kind, _, _ := strings.Cut(r.Origin, " ")
		from[kind]++
	}
	parts := []string{cmp.Or(loaded.File, "no file")}
	if n := from["file"]; loaded.File != "" {
		parts[0] += " with " + count(int64(n), "setting")
	}
	return strings.Join(append(parts, fmt.Sprintf("%d from the environment", from["env"]), fmt.Sprintf("%d from flags", from["flag"]), "no unknown names"), ", ")
}

// address is either free for the shop or served by it.
func (c *checkup) address(ctx context.Context, cfg config.Config) {
	ln, err := listen(ctx, cfg.HTTP.Addr)
	if err == nil {
		_ = ln.Close()
		c.ok("address", "%s is free: the shop is not running", cfg.HTTP.Addr)
		return
	}
	if r, none := probe(ctx, urlOf(schemeOf(cfg), cfg.HTTP.Addr), toItself(cfg)); errors.Is(err, errPortTaken) && none == nil {
		if r.Ready {
			c.ok("address", "the shop answers on %s", cfg.HTTP.Addr)
		} else {
			c.note("address", problem, fmt.Sprintf("the shop on %s is not ready", cfg.HTTP.Addr), "Its log says why")
		}
		return
	}
	c.failed("address", err, "Choose another address with --addr")
}

func (p *program) examineDatabase(ctx context.Context, c *checkup, cfg config.Config, names []string) {
	if cfg.Database.URL.IsZero() && !hasCluster(cfg) {
		p.tryPrograms(ctx, c, cfg)
		c.skip("there is no shop yet: its first start makes it", "role", "schema", "clock", "events", "secrets")
		return
	}
	d, err := openDatabase(ctx, cfg, p.quietLogger(cfg.Log), p.waiting, true)
	if err != nil {
		c.failed("database", err, "PostgreSQL's own log is "+shown(filepath.Join(clusterDir(cfg), "postgres.log")))
		c.skip("the database must answer first", "role", "schema", "clock", "events", "secrets")
		return
	}
	defer func() {
		if err := d.close(ctx); err != nil {
			c.failed("database", err, "")
		}
	}()
	c.database(ctx, cfg, d, names, cfg.Bus.Driver == "kafka")
}

// tryPrograms starts PostgreSQL on an empty folder and throws it away: what the first
// start of the shop needs, without making a shop.
func (p *program) tryPrograms(ctx context.Context, c *checkup, cfg config.Config) {
	dir, err := os.MkdirTemp("", "fusion-doctor-")
	if err != nil {
		c.failed("database", err, "Set TMPDIR to a folder that can be written to")
		return
	}
	defer func() { _ = os.RemoveAll(dir) }()
	// PostgreSQL does not run as root: then it has another account, which must get there.
	if err := os.Chmod(dir, 0o711); err != nil { //nolint:gosec // the cluster in it is closed to others
		c.failed("database", err, "")
		return
	}
	cluster, err := pgcluster.Start(ctx, pgcluster.Options{Dir: filepath.Join(dir, "postgres"), Throwaway: true})
	if err != nil {
		c.failed("database", err, "")
		return
	}
	version := cluster.Version()
	if err := cluster.Stop(ctx); err != nil {
		c.failed("database", err, "")
		return
	}
	c.ok("database", "PostgreSQL %s works here; the first start makes a private cluster in %s", version, shown(clusterDir(cfg)))
}

// database goes on as far as it can be reached.
func (c *checkup) database(ctx context.Context, cfg config.Config, d *database, names []string, carried bool) {
	where := "the one of FUSION_DATABASE_URL"
	if d.cluster != nil {
		where = "private cluster in " + shown(d.options.Dir)
	}
	var version string
	var took, skew time.Duration
	err := d.ask(ctx, cmp.Or(d.owner, d.app), func(ctx context.Context, pool *sql.DB) error {
		if err := pool.PingContext(ctx); err != nil {
			return err
		}
		var theirs time.Time
		asked := time.Now()
		err := pool.QueryRowContext(ctx, `select current_setting('server_version'), clock_timestamp()`).Scan(&version, &theirs)
		took = time.Since(asked)
		skew = theirs.Sub(asked.Add(took / 2)).Abs()
		return err
	})
	if err != nil {
		c.failed("database", err, "")
		c.skip("the database must answer first", "role", "schema", "clock", "events", "secrets")
		return
	}
	version, _, _ = strings.Cut(version, " ")
	c.ok("database", "PostgreSQL %s, %s, answers in %s", version, where, short(took))
	schema := c.schema(ctx, d, names)
	if role := d.checkRole(ctx, names); role != nil {
		c.failed("role", role, "Run fusion migrate up, which makes the role "+migrate.AppRole)
	} else {
		c.ok("role", "row-level security binds it")
	}
	c.clock(skew)
	if schema != nil {
		c.skip("the schema must be current first", "events", "secrets")
		return
	}
	c.events(ctx, d, carried)
	c.secrets(ctx, cfg, d)
}

func (c *checkup) schema(ctx context.Context, d *database, names []string) error {
	all, err := d.status(ctx, cmp.Or(d.owner, d.app), names)
	if err != nil {
		c.failed("schema", err, "")
		return err
	}
	if err := notCurrent(all); err != nil {
		detail, fix, _ := strings.Cut(sentence(err), "; ")
		c.note("schema", problem, detail, strings.TrimPrefix(fix, "run: "))
		return err
	}
	c.ok("schema", "current: platform and %s", strings.Join(names, ", "))
	return nil
}

// Beyond a second, what happened first can no longer be told from the times; beyond five,
// what expires does so noticeably early or late.
const skewWarning, skewProblem = time.Second, 5 * time.Second

func (c *checkup) clock(skew time.Duration) {
	const fix = "Let both machines follow a time server (chrony, systemd-timesyncd)"
	detail := fmt.Sprintf("program and database differ by %s", short(skew))
	switch {
	case skew > skewProblem:
		c.note("clock", problem, detail, fix)
	case skew > skewWarning:
		c.note("clock", warning, detail, fix)
	default:
		c.ok("clock", "%s", detail)
	}
}

// late is when waiting events mean that nobody handles them.
const late = time.Minute

func (c *checkup) events(ctx context.Context, d *database, carried bool) {
	pool, err := d.pool(1)
	if err != nil {
		c.failed("events", err, "")
		return
	}
	defer func() { _ = pool.Close() }()
	list, err := event.Backlogs(ctx, pool)
	if err != nil {
		c.failed("events", d.reach(err, d.app), "")
		return
	}
	var waiting, failing, parked int64
	var oldest time.Duration
	for _, b := range list {
		if b.Relays() && !carried {
			continue // kept for the day when there is a carrier again
		}
		waiting, failing, parked = waiting+b.Waiting, failing+b.Failing, parked+b.Parked
		if b.Oldest != nil {
			oldest = max(oldest, time.Since(*b.Oldest))
		}
	}
	detail := fmt.Sprintf("%d waiting, %d of them failing, %d parked", waiting, failing, parked)
	if waiting > 0 {
		detail += ", the oldest for " + age(oldest)
	}
	switch {
	case parked > 0:
		c.note("events", problem, detail, "fusion events parked says why; then fusion events retry, or drop")
	case oldest > late:
		c.note("events", warning, detail, "Start the shop, or see in its log what fails; fusion events backlog shows each consumer")
	default:
		c.ok("events", "%s", detail)
	}
}

// secrets looks whether the program has the key that the shop's are sealed with.
func (c *checkup) secrets(ctx context.Context, cfg config.Config, d *database) {
	keys, err := readMasterKeys(cfg)
	if err != nil {
		c.failed("secrets", err, "")
		return
	}
	pool, err := d.pool(1)
	if err != nil {
		c.failed("secrets", err, "")
		return
	}
	defer func() { _ = pool.Close() }()
	v, ok := keys.vault()
	err = v.Opens(ctx, pool)
	switch {
	case err != nil:
		c.failed("secrets", otherKey(d.reach(err, d.app)), "")
	case !ok:
		c.ok("secrets", "the first start makes a master key in %s", shown(keys.file))
	case keys.named != nil:
		c.ok("secrets", "sealed by the master key of FUSION_SECRETS_KEY")
	case d.cluster == nil:
		c.note("secrets", warning, "sealed by a master key on this machine only, "+shown(keys.file), "Keep it, and give it to the shop's other programs as FUSION_SECRETS_KEY")
	default:
		c.ok("secrets", "sealed by the master key in %s", shown(keys.file))
	}
}
