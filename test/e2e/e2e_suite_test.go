// Package e2e_test talks to the program as its users do: to the binary that is shipped,
// over HTTP, and knows of it what its documents say.
//
// Every answer of every spec is held to the OpenAPI document that the program itself
// serves, every event that a spec caused to the schema of its type, and the program's
// log to silence about errors.
//
// Without further ado each Ginkgo process runs one program on a database of its own. The
// same specs judge another deployment when these are set:
//
//	FUSION_E2E_DEPLOYMENT      alone (the default), kafka, split or pgbouncer: see kinds_test.go
//	FUSION_E2E_SETTINGS        blank-separated NAME=value for every program that is started
//	FUSION_E2E_URL             where a deployment answers that runs already; then also
//	FUSION_E2E_DATABASE_URL    its database, as the application's role
//	FUSION_E2E_SUPERUSER_URL   its database, as a role that row-level security does not bind
//	FUSION_E2E_BOOTSTRAP_KEY   its bootstrap key
//
// Specs that start, stop or double programs are not among those for a deployment that
// runs already.
package e2e_test

import (
	"context"
	"database/sql"
	"encoding/json"
	"os"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/gexec"

	"github.com/fusioncommerce/fusion/cmd/fusion/invariant"
	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/testkit"
)

func TestEndToEnd(t *testing.T) {
	RegisterFailHandler(Fail)
	SetDefaultEventuallyTimeout(testkit.Patience)
	SetDefaultEventuallyPollingInterval(10 * time.Millisecond)
	RunSpecs(t, "end to end")
}

var (
	// installed is the deployment that this Ginkgo process asks.
	installed deployment
	// published is the OpenAPI document that it serves.
	published *document
	// keys is where specs make API keys, and auditors what sees what row-level security would
	// hide: each by the databases of the deployment.
	keys     []*db.DB
	auditors []*sql.DB
)

var _ = SynchronizedBeforeSuite(func() []byte {
	if !ours {
		return nil
	}
	shared, err := json.Marshal(prepare())
	Expect(err).NotTo(HaveOccurred())
	return shared
}, func(shared []byte) {
	if ours {
		Expect(json.Unmarshal(shared, &here)).To(Succeed())
	}
	installed = install()
	published = readDocument(installed.URL())
	warm(installed)
	for _, d := range installed.Databases() {
		pool, err := db.Open(db.Options{DSN: d.App, Connections: 4})
		Expect(err).NotTo(HaveOccurred())
		auditor, err := sql.Open("postgres", d.Super)
		Expect(err).NotTo(HaveOccurred())
		keys, auditors = append(keys, pool), append(auditors, auditor)
	}
})

var _ = SynchronizedAfterSuite(func() {
	if installed != nil {
		installed.Stop()
		for i := range keys {
			Expect(invariant.Check(context.Background(), auditors[i], invariant.Always())).To(BeEmpty(), "what is true of every shop")
			Expect(keys[i].Close()).To(Succeed())
			Expect(auditors[i].Close()).To(Succeed())
		}
	}
	gexec.KillAndWait(testkit.Patience) // what a failed spec has left
	testkit.Close()
}, gexec.CleanupBuildArtifacts)

// ours tells that the programs are started, and may be stopped, by this suite.
var ours = os.Getenv("FUSION_E2E_URL") == ""
