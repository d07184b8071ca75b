package main

import (
	"maps"
	"os/user"
	"slices"
	"strings"

	"github.com/google/uuid"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/types"
	"github.com/urfave/cli/v3"

	"github.com/fusioncommerce/fusion/internal/platform/testkit"
)

// trail is what each command leaves in the audit log: an action, or why it leaves nothing.
var trail = map[string]string{
	"keys create": "createKey", "keys rotate": "rotateKey", "keys revoke": "revokeKey",
	"staff invite": "inviteStaff", "staff disable": "updateStaff", "staff reset-second-factor": "removeStaffSecondFactor",
	"tenants create": "createTenant", "tenants suspend": "suspendTenant", "tenants resume": "resumeTenant", "tenants delete": "deleteTenant",
	"tenants export": "exportTenant", "tenants host add": "updateTenant", "tenants host remove": "updateTenant",
	"auth rotate-key": "rotateSigningKey", "secrets rotate": "rotateSecrets",
	"mail retry": "retryMail", "mail drop": "dropMail",
	"events retry": "retryEvents", "events drop": "dropEvents", "events replay": "replayEvents", "events unsubscribe": "unsubscribe",
	"seed": "createProduct",

	"dev": "it runs the shop", "serve": "it runs the shop", "sim stripe": "it is no shop", "sim carrier": "it is no shop",
	"migrate up": "the schema", "migrate down": "the schema", "migrate status": "it looks",
	"backup create": "it looks", "backup verify": "it looks", "backup restore": "there is no shop yet",
	"keys list": "it looks", "staff list": "it looks", "tenants list": "it looks", "tenants show": "it looks", "secrets status": "it looks", "mail list": "it looks", "orders show": "it looks",
	"events list": "it looks", "events backlog": "it looks", "events parked": "it looks",
	"audit list": "it looks", "audit verify": "it looks", "audit head": "it looks", "audit export": "it looks",
	"doctor": "it looks", "health": "it looks", "config": "it looks", "openapi": "it looks", "permissions": "it looks", "version": "it looks",
}

var _ = Describe("the audit log of what is done by command", func() {
	It("is decided for each command", func() {
		var all []string
		var walk func(path string, c *cli.Command)
		walk = func(path string, c *cli.Command) {
			if len(c.Commands) == 0 && !c.Hidden {
				all = append(all, path)
			}
			for _, below := range c.Commands {
				walk(strings.TrimSpace(path+" "+below.Name), below)
			}
		}
		for _, c := range (&program{}).commands().Commands {
			walk(c.Name, c)
		}
		Expect(slices.Collect(maps.Keys(trail))).To(ConsistOf(all))
	})

	It("names who did it, as the machine knows them", func() {
		GinkgoT().Setenv("SUDO_USER", "") // of who runs the specs
		d := testkit.NewDatabase()
		env := onDatabase(d, "FUSION_MAIL_DIR="+GinkgoT().TempDir()) // the shop that seeds delivers
		done := func(args ...string) commandLine {
			GinkgoHelper()
			c := fusion(env, args...)
			Expect(c.code).To(BeZero(), c.err)
			return c
		}
		key := parsed[struct{ ID, Key string }](done("keys", "create", "--name", "Till", "--owner", "--json"))
		Expect(key.Key).NotTo(BeEmpty())
		rotated := parsed[struct{ ID, Key string }](done("keys", "rotate", key.ID, "--json"))
		done("keys", "revoke", key.ID)
		Expect(fusion(env, "keys", "revoke", uuid.NewString()).code).NotTo(BeZero())
		owner := parsed[tenantView](done("tenants", "create", "harbour", "--json"))
		done("staff", "invite", "bo@example.com")
		done("staff", "invite", "second@example.com", "--tenant", "harbour")
		done("auth", "rotate-key")
		done("secrets", "rotate")
		done("mail", "retry")
		done("events", "retry")
		done("events", "drop", "--yes")
		done("seed", "--products", "1", "--tenant", "harbour")

		type entry struct{ Actor, Action, Entity, EntityID string }
		read := func(tenant string) (list []entry) {
			GinkgoHelper()
			rows, err := testkit.SQL(d.Super).Query(`select actor, action, entity, entity_id from platform.audit where tenant_id = $1 order by seq`, tenant)
			Expect(err).NotTo(HaveOccurred())
			defer rows.Close()
			for rows.Next() {
				var e entry
				Expect(rows.Scan(&e.Actor, &e.Action, &e.Entity, &e.EntityID)).To(Succeed())
				list = append(list, e)
			}
			Expect(rows.Err()).NotTo(HaveOccurred())
			return list
		}
		who, err := user.Current()
		Expect(err).NotTo(HaveOccurred())
		did := func(action, entity, id string) types.GomegaMatcher {
			e := SatisfyAll(HaveField("Actor", "system:cli:"+who.Username), HaveField("Action", action), HaveField("Entity", entity))
			if id == "" {
				return e
			}
			return SatisfyAll(e, HaveField("EntityID", id))
		}
		Expect(read("00000000-0000-7000-8000-000000000001")).To(HaveExactElements(
			did("createKey", "key", key.ID), did("rotateKey", "key", key.ID), did("revokeKey", "key", key.ID), did("createTenant", "tenant", owner.ID),
			did("inviteStaff", "staff", ""), did("rotateSigningKey", "signing-key", ""), did("rotateSecrets", "master-key", ""), did("retryMail", "mail", ""),
			did("retryEvents", "event", ""), did("dropEvents", "event", ""),
		))
		theirs := read(owner.ID)
		Expect(theirs[:3]).To(HaveExactElements(did("createKey", "key", ""), did("inviteStaff", "staff", ""), did("createKey", "key", "")), "the owner's key, the invitation, the key of the demo")
		Expect(theirs[len(theirs)-1]).To(did("revokeKey", "key", ""))

		var kept string
		Expect(testkit.SQL(d.Super).QueryRow(`select string_agg(a::text, ' ') from platform.audit a`).Scan(&kept)).To(Succeed())
		Expect(kept).To(ContainSubstring("Till"))
		for _, secret := range []string{key.Key, rotated.Key, owner.OwnerKey} {
			Expect(kept).NotTo(ContainSubstring(secret[len("fc_sk_")+5:]))
		}
	})
})
