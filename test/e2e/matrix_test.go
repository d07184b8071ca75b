package e2e_test

import (
	"os"
	"strings"

	"github.com/google/uuid"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/fusioncommerce/fusion/internal/platform/apikey"
	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/identity"
	"github.com/fusioncommerce/fusion/internal/platform/testkit"
)

// promisedAccess reads the matrix that people read: by call, then by who asks.
func promisedAccess() map[string]map[string]string {
	GinkgoHelper()
	page, err := os.ReadFile("../../docs/permissions.md")
	Expect(err).NotTo(HaveOccurred())
	_, table, found := strings.Cut(string(page), "\n| call |")
	Expect(found).To(BeTrue())
	cells := func(line string) (list []string) {
		for cell := range strings.SplitSeq(strings.Trim(line, "|"), "|") {
			list = append(list, strings.Trim(cell, " `"))
		}
		return list
	}
	lines := strings.Split(strings.TrimSpace("| call |"+table), "\n")
	head, promised := cells(lines[0]), map[string]map[string]string{}
	for _, line := range lines[2:] {
		row := cells(line)
		Expect(row).To(HaveLen(len(head)), line)
		promised[row[0]] = map[string]string{}
		for i := 2; i < len(head); i++ {
			promised[row[0]][head[i]] = row[i]
		}
	}
	return promised
}

// visitor is the shop as a page with a publishable key sees it.
func (s *shop) visitor() *shop {
	GinkgoHelper()
	return s.with(s.keyOn(apikey.Terms{Kind: apikey.Publishable}))
}

func (s *shop) keyOn(t apikey.Terms) (secret string) {
	GinkgoHelper()
	t.Name = "spec"
	ctx := testkit.As(s.tenant)
	Expect(keys[0].InTx(ctx, func(tx *db.Tx) (err error) {
		_, secret, err = apikey.Add(ctx, tx, t)
		return err
	})).To(Succeed())
	shareKeys(s.tenant)
	return secret
}

// spoilt makes a key of an owner and takes it away again in SQL.
func (s *shop) spoilt(assignment string) string {
	GinkgoHelper()
	id, secret, err := apikey.Create(testkit.As(s.tenant), keys[0], "spoilt", []string{identity.Everything})
	Expect(err).NotTo(HaveOccurred())
	_, err = auditors[0].Exec(`update platform.api_key set `+assignment+` where id = $1`, id.ID)
	Expect(err).NotTo(HaveOccurred())
	shareKeys(s.tenant)
	return secret
}

var _ = Describe("who may call what", func() {
	It("is written down for every call", func() {
		promised := promisedAccess()
		var written, served []string
		for call := range promised {
			written = append(written, call)
		}
		for _, o := range published.Operations {
			served = append(served, o.Method+" "+o.Path)
		}
		Expect(written).To(ConsistOf(served))
	})

	It("is what is written down: nobody gets in who should not, and nobody is kept out who should", func() {
		promised, s := promisedAccess(), open()
		callers := map[string]*shop{"anybody": s.with(""), "publishable key": s.visitor()}
		for _, role := range identity.Roles() {
			if role != identity.Customer { // they sign in
				permissions, _ := identity.RolePermissions(role)
				callers[role] = s.staffed(permissions...)
			}
		}
		for _, o := range published.Operations {
			row := promised[o.Method+" "+o.Path]
			Expect(row).To(HaveKey("owner"))
			for name, c := range callers {
				r := c.send(o.Method, o.to(uuid.NewString(), "GHOST"), o.body())
				why := name + " on " + o.ID
				switch {
				case row[name] == "yes":
					Expect(r).NotTo(Or(refuse(401, "unauthenticated"), refuse(403, "forbidden")), why)
				case row[name] == "no" && name == "anybody":
					Expect(r).To(refuse(401, "unauthenticated"), why)
				case row[name] == "no":
					Expect(r).To(refuse(403, "forbidden"), why)
				default:
					Fail(why + " is " + row[name])
				}
			}
		}
	})

	It("is nothing, not even what is public, with a key that has ended", func() {
		s := open()
		for _, ended := range []string{s.spoilt("expires_at = now()"), s.spoilt("revoked_at = now()")} {
			for _, o := range published.Operations {
				Expect(s.with(ended).send(o.Method, o.to(uuid.NewString(), "GHOST"), o.body())).To(refuse(401, "invalid_credentials"), o.ID)
			}
		}
	})

	It("is never a role without the owner: what anybody else may, they may", func() {
		for call, row := range promisedAccess() {
			for name, access := range row {
				Expect(access).To(BeElementOf("yes", "no", "own"), name+" on "+call)
				if access == "yes" && name != "service" {
					Expect(row["owner"]).To(Equal("yes"), call)
				}
				if row["anybody"] == "yes" {
					Expect(access).To(Equal("yes"), name+" on "+call)
				}
			}
		}
	})
})
