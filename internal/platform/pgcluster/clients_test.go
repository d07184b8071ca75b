package pgcluster_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/fusioncommerce/fusion/internal/platform/pgcluster"
)

// impostors are client programs that say what they were told, and of which version they are.
func impostors(version string) (dir string) {
	GinkgoHelper()
	dir = GinkgoT().TempDir()
	for _, name := range []string{"pg_dump", "pg_restore"} {
		script := fmt.Sprintf("#!/bin/sh\nif [ \"$1\" = --version ]; then echo '%s (PostgreSQL) %s'; exit; fi\necho \"arguments $*\"\nenv\n", name, version)
		Expect(os.WriteFile(filepath.Join(dir, name), []byte(script), 0o755)).To(Succeed())
	}
	return dir
}

var _ = Describe("the client programs", func() {
	It("hear of the connection where nobody else does, and of nothing else that is secret", func(ctx SpecContext) {
		c := start(ctx, pgcluster.Options{Dir: prepared()})
		GinkgoT().Setenv("FUSION_POSTGRES_BIN", impostors("99.1"))
		GinkgoT().Setenv("FUSION_BOOTSTRAP_KEY", "open-sesame")
		dsn := strings.Replace(c.DSN("postgres", "postgres"), "postgres@", "postgres:hush@", 1)
		var out bytes.Buffer
		Expect(pgcluster.Dump(ctx, dsn, "00000003-1", &out)).To(Succeed())
		arguments, environ, _ := strings.Cut(out.String(), "\n")
		Expect(arguments).To(Equal("arguments --format=custom --snapshot=00000003-1 --no-password"))
		Expect(strings.Split(environ, "\n")).To(ContainElements("PGPASSWORD=hush", "PGUSER=postgres", "PGDATABASE=postgres", "PGPORT=5432", "PGSSLMODE=disable"))
		Expect(environ).NotTo(ContainSubstring("open-sesame"))
	})

	DescribeTable("are asked for when they are missing", func(ctx SpecContext, programs func() string, sentence string) {
		c := start(ctx, pgcluster.Options{Dir: prepared()})
		GinkgoT().Setenv("FUSION_POSTGRES_BIN", programs())
		err := pgcluster.Dump(ctx, c.DSN("postgres", "postgres"), "", new(bytes.Buffer))
		Expect(err).To(And(MatchError(pgcluster.ErrNoBinaries), MatchError(And(ContainSubstring(sentence), MatchRegexp(`apt install postgresql-client-\d+`)))))
	},
		Entry("because they are older than the server", func() string { return impostors("9.6.24") }, "and pg_dump here is 9"),
		Entry("because there are none", func() string { return GinkgoT().TempDir() }, "in none of the usual places"),
	)

	It("say why they failed", func(ctx SpecContext) {
		c := start(ctx, pgcluster.Options{Dir: prepared()})
		err := pgcluster.Dump(ctx, c.DSN("postgres", "postgres"), "no-such-snapshot", new(bytes.Buffer))
		Expect(err).To(MatchError(And(HavePrefix("pg_dump: "), ContainSubstring("no-such-snapshot"))))
		err = pgcluster.Restore(ctx, c.DSN("postgres", "postgres"), strings.NewReader("a letter"))
		Expect(err).To(MatchError(HavePrefix("pg_restore: ")))
	})
})
