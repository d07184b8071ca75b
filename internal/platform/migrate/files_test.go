package migrate_test

import (
	"fmt"
	"io/fs"
	"regexp"
	"slices"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/fusioncommerce/fusion/internal/platform/migrate"
	"github.com/fusioncommerce/fusion/internal/platform/testkit"
	"github.com/fusioncommerce/fusion/migrations"
)

var (
	fileName    = regexp.MustCompile(`^(\d{4})_[a-z0-9_]+\.(up|down)\.sql$`)
	comment     = regexp.MustCompile(`(?m)--.*$`)
	schemaNamed = regexp.MustCompile(`\bschema\s+(?:if\s+(?:not\s+)?exists\s+)?([a-z_]+)`)
	grantee     = regexp.MustCompile(`\b(?:grant|revoke)\b[^;]*\b(?:to|from)\s+([a-z_]+)\s*;`)
	roleNamed   = regexp.MustCompile(`(?:^|[^.\w])(?:role|user|owner\s+to)\s+([a-z_]+)`)
)

var _ = Describe("the files of", func() {
	for _, module := range append([]string{"platform"}, testkit.Modules()...) {
		Describe(module, func() {
			read := func() map[string]string {
				GinkgoHelper()
				entries, err := fs.ReadDir(migrations.FS, module)
				Expect(err).NotTo(HaveOccurred())
				bodies := map[string]string{}
				for _, e := range entries {
					body, err := fs.ReadFile(migrations.FS, module+"/"+e.Name())
					Expect(err).NotTo(HaveOccurred())
					bodies[e.Name()] = strings.ToLower(comment.ReplaceAllString(string(body), ""))
				}
				return bodies
			}

			It("count from 0001 without a gap, each with its way back", func() {
				var numbers []string
				bodies := read()
				for name := range bodies {
					Expect(name).To(MatchRegexp(fileName.String()))
					if up, ok := strings.CutSuffix(name, ".up.sql"); ok {
						Expect(bodies).To(HaveKey(up + ".down.sql"))
						numbers = append(numbers, name[:4])
					} else {
						Expect(bodies).To(HaveKey(strings.TrimSuffix(name, ".down.sql") + ".up.sql"))
					}
				}
				slices.Sort(numbers)
				Expect(numbers).NotTo(BeEmpty())
				for i, number := range numbers {
					Expect(number).To(Equal(fmt.Sprintf("%04d", i+1)))
				}
			})

			It("name no schema but their own, and of the platform only who the merchant is and whether it is over", func() {
				for name, body := range read() {
					body = strings.NewReplacer("platform.current_tenant()", "", "platform.may_purge(", "").Replace(body)
					for _, other := range append(testkit.Modules(), "platform", "migrations", "public") {
						if other != module {
							Expect(body).NotTo(MatchRegexp(`\b"?%s"?\s*\.`, other), name)
						}
					}
					for _, named := range schemaNamed.FindAllStringSubmatch(body, -1) {
						Expect(named[1]).To(Equal(module), name)
					}
				}
			})

			It("name no role but the application's", func() {
				for name, body := range read() {
					for _, named := range append(grantee.FindAllStringSubmatch(body, -1), roleNamed.FindAllStringSubmatch(body, -1)...) {
						Expect(named[1]).To(Or(Equal(migrate.AppRole), Equal("public")), name)
					}
				}
			})

			if module == "platform" {
				return
			}

			It("need no other module and make nothing outside of their schema", func(ctx SpecContext) {
				d := emptyDatabase()
				up := func(modules ...string) {
					GinkgoHelper()
					runner, err := migrate.Open(d.owner, migrations.FS, modules...)
					Expect(err).NotTo(HaveOccurred())
					DeferCleanup(runner.Close)
					Expect(runner.Up(ctx)).To(BeNumerically(">", 0))
				}
				up()
				before := withoutVersions(dump(d))
				up(module)
				after := withoutVersions(dump(d))
				Expect(len(after)).To(BeNumerically(">", len(before)))
				others := slices.DeleteFunc(after, func(line string) bool { return strings.HasPrefix(line, module+" ") })
				Expect(others).To(Equal(before))
			})
		})
	}
})
