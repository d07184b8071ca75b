package migrate_test

import (
	"database/sql"
	"strings"
	"testing"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/fusioncommerce/fusion/internal/platform/clock"
	"github.com/fusioncommerce/fusion/internal/platform/migrate"
	"github.com/fusioncommerce/fusion/internal/platform/testkit"
	"github.com/fusioncommerce/fusion/migrations"
)

func TestMigrate(t *testing.T) {
	RegisterFailHandler(Fail)
	RunSpecs(t, "migrate")
}

var _ = AfterSuite(testkit.Close)

const owner = "fusion_owner" // made by testkit, with the one right to create roles

// database is one that nobody has migrated.
type database struct {
	owner, app string // DSNs
	super      *sql.DB
}

func emptyDatabase() database {
	GinkgoHelper()
	name := "empty_" + strings.ReplaceAll(clock.NewID().String(), "-", "")
	server := testkit.SQL(testkit.Cluster().DSN("postgres", "postgres"))
	run(server, `create database `+name+` owner `+owner)
	DeferCleanup(func() { run(server, `drop database `+name+` with (force)`) })
	c := testkit.Cluster()
	return database{owner: c.DSN(owner, name), app: c.DSN(migrate.AppRole, name), super: testkit.SQL(c.DSN("postgres", name))}
}

// migratedDatabase is a copy of one that Up has migrated.
func migratedDatabase() database {
	GinkgoHelper()
	d := testkit.NewDatabase()
	return database{owner: d.Owner, app: d.App, super: testkit.SQL(d.Super)}
}

// run runs a statement.
func run(pool *sql.DB, query string, args ...any) {
	GinkgoHelper()
	_, err := pool.Exec(query, args...)
	Expect(err).NotTo(HaveOccurred(), query)
}

// lines reads a column of text.
func lines(pool *sql.DB, query string, args ...any) (all []string) {
	GinkgoHelper()
	rows, err := pool.Query(query, args...)
	Expect(err).NotTo(HaveOccurred())
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var line string
		Expect(rows.Scan(&line)).To(Succeed())
		all = append(all, line)
	}
	Expect(rows.Err()).NotTo(HaveOccurred())
	return all
}

// everything is the runner of all modules on a database.
func everything(d database) *migrate.Runner {
	GinkgoHelper()
	runner, err := migrate.Open(d.owner, migrations.FS, testkit.Modules()...)
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(runner.Close)
	return runner
}

// dump is what PostgreSQL knows of a database, as lines that begin with a schema's name.
func dump(d database) []string { return testkit.Structure(d.super) }
