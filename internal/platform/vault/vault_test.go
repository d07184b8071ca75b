package vault_test

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"database/sql"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/google/uuid"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/fusioncommerce/fusion/internal/platform/clock"
	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/testkit"
	"github.com/fusioncommerce/fusion/internal/platform/vault"
)

const canary = "JBSWY3DPEHPK3PXP"

func seal(v *vault.Vault, tenant uuid.UUID, purpose, plain string) []byte {
	GinkgoHelper()
	sealed, err := v.Seal(tenant, purpose, []byte(plain))
	Expect(err).NotTo(HaveOccurred())
	return sealed
}

var _ = Describe("a sealed secret", func() {
	var (
		key    vault.Key
		v      *vault.Vault
		tenant uuid.UUID
	)
	BeforeEach(func() {
		key, tenant = vault.GenerateKey(), clock.NewID()
		v = vault.New(key)
	})

	It("is read back as it was, also an empty one, and the installation's", func() {
		for _, plain := range []string{canary, ""} {
			for _, of := range []uuid.UUID{tenant, uuid.Nil} {
				Expect(v.Open(of, "totp", seal(v, of, "totp", plain))).To(BeEquivalentTo(plain))
			}
		}
	})
	It("shows neither itself nor that it is the same as another", func() {
		one, other := seal(v, tenant, "totp", canary), seal(v, tenant, "totp", canary)
		Expect(bytes.Contains(one, []byte(canary))).To(BeFalse())
		Expect(one).NotTo(Equal(other))
	})
	It("has a data key and nonces of its own", func() {
		raw, err := base64.StdEncoding.DecodeString(key.Reveal())
		Expect(err).NotTo(HaveOccurred())
		block, err := aes.NewCipher(raw)
		Expect(err).NotTo(HaveOccurred())
		gcm, err := cipher.NewGCM(block)
		Expect(err).NotTo(HaveOccurred())
		const wrappedAt, secretAt, nonce = 9, 69, 12 // as the comment of the sealed form says
		seen := map[string]bool{string(make([]byte, nonce)): true, string(make([]byte, 32)): true}
		for range 3 {
			sealed := seal(v, tenant, "totp", canary)
			dataKey, err := gcm.Open(nil, sealed[wrappedAt:wrappedAt+nonce], sealed[wrappedAt+nonce:secretAt], []byte(tenant.String()+"|totp"))
			Expect(err).NotTo(HaveOccurred())
			for _, random := range [][]byte{dataKey, sealed[wrappedAt : wrappedAt+nonce], sealed[secretAt : secretAt+nonce]} {
				Expect(seen).NotTo(HaveKey(string(random)))
				seen[string(random)] = true
			}
		}
	})
	It("opens for its tenant and its purpose only", func() {
		sealed := seal(v, tenant, "totp", canary)
		for _, wrong := range []struct {
			tenant  uuid.UUID
			purpose string
		}{{clock.NewID(), "totp"}, {uuid.Nil, "totp"}, {tenant, "signing"}, {tenant, ""}} {
			_, err := v.Open(wrong.tenant, wrong.purpose, sealed)
			Expect(err).To(MatchError(vault.ErrDamaged), "%v", wrong)
		}
	})
	It("does not open when a bit of it has changed, or a part is missing", func() {
		sealed := seal(v, tenant, "totp", canary)
		for i := range sealed {
			changed := bytes.Clone(sealed)
			changed[i] ^= 1
			_, err := v.Open(tenant, "totp", changed)
			Expect(err).To(Or(MatchError(vault.ErrDamaged), MatchError(vault.ErrUnknownKey)), "byte %d", i)
			_, err = v.Open(tenant, "totp", sealed[:i])
			Expect(err).To(MatchError(vault.ErrDamaged), "%d bytes", i)
		}
	})
	It("opens with the key that sealed it, which may be an earlier one, and with no other", func() {
		sealed := seal(v, tenant, "totp", canary)
		now := vault.GenerateKey()
		Expect(vault.New(now, key).Open(tenant, "totp", sealed)).To(BeEquivalentTo(canary))
		_, err := vault.New(now).Open(tenant, "totp", sealed)
		Expect(err).To(And(MatchError(vault.ErrUnknownKey), MatchError(ContainSubstring(key.ID()))))
		_, err = vault.New(key).Open(tenant, "totp", seal(vault.New(now, key), tenant, "totp", canary))
		Expect(err).To(MatchError(vault.ErrUnknownKey), "what is new is sealed with the current key")
	})
	It("is not made without a key", func() {
		_, err := new(vault.Vault).Seal(tenant, "totp", []byte(canary))
		Expect(err).To(MatchError(vault.ErrNoKey))
	})
})

var _ = Describe("a master key", func() {
	const text = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="

	It("is 32 bytes in base64, and always has the same id", func() {
		key, err := vault.ParseKey(text + "\n")
		Expect(err).NotTo(HaveOccurred())
		Expect(key.ID()).To(MatchRegexp(`^[0-9a-f]{16}$`))
		again, err := vault.ParseKey(text)
		Expect(err).NotTo(HaveOccurred())
		Expect(again.ID()).To(Equal(key.ID()))
		for _, wrong := range []string{"", "short", text[:40], text + text, "open sesame open sesame open sesame!"} {
			_, err := vault.ParseKey(wrong)
			Expect(err).To(MatchError(vault.ErrKey), wrong)
		}
	})
	It("is not printed by accident", func() {
		key, err := vault.ParseKey(text)
		Expect(err).NotTo(HaveOccurred())
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%d"} {
			for _, printed := range []any{key, &key, struct{ k vault.Key }{key}, []vault.Key{key}} {
				Expect(fmt.Sprintf(verb, printed)).NotTo(Or(ContainSubstring("AAECAw"), ContainSubstring("0001020304"), ContainSubstring("0 1 2 3 4"), ContainSubstring("0x0, 0x1, 0x2")), verb)
			}
		}
	})
	It("is kept in a file of its owner's, which is never overwritten", func() {
		path := filepath.Join(GinkgoT().TempDir(), "new", "secrets.key")
		_, ok, err := vault.ReadKey(path)
		Expect(err).NotTo(HaveOccurred())
		Expect(ok).To(BeFalse())
		key := vault.GenerateKey()
		Expect(vault.WriteKey(path, key)).To(Succeed())
		info, err := os.Stat(path)
		Expect(err).NotTo(HaveOccurred())
		Expect(info.Mode().Perm()).To(BeEquivalentTo(0o600))
		Expect(os.ReadDir(filepath.Dir(path))).To(HaveLen(1))
		Expect(vault.WriteKey(path, vault.GenerateKey())).To(MatchError(os.ErrExist))
		read, ok, err := vault.ReadKey(path)
		Expect(err).NotTo(HaveOccurred())
		Expect(ok).To(BeTrue())
		Expect(read.ID()).To(Equal(key.ID()))
	})
	It("is not read from a file that holds something else", func() {
		path := filepath.Join(GinkgoT().TempDir(), "secrets.key")
		Expect(os.WriteFile(path, []byte("nothing\n"), 0o600)).To(Succeed())
		_, _, err := vault.ReadKey(path)
		Expect(err).To(And(MatchError(vault.ErrKey), MatchError(ContainSubstring(path))))
	})
})

var _ = Describe("a database and its master key", func() {
	var (
		d        testkit.Database
		pool     *db.DB
		super    *sql.DB
		old, now vault.Key
	)
	BeforeEach(func() {
		d = testkit.NewDatabase()
		pool, super = testkit.Open(d.App), testkit.SQL(d.Super)
		old, now = vault.GenerateKey(), vault.GenerateKey()
	})
	ctx := testkit.As(uuid.Nil)
	sealedBy := func() []string {
		GinkgoHelper()
		ids, err := vault.SealedBy(ctx, pool)
		Expect(err).NotTo(HaveOccurred())
		return ids
	}

	It("stay together: a program that has another one is refused", func() {
		Expect(sealedBy()).To(BeEmpty())
		Expect(vault.New(old).Adopt(ctx, pool)).To(Succeed())
		Expect(vault.New(old).Adopt(ctx, pool)).To(Succeed())
		Expect(sealedBy()).To(Equal([]string{old.ID()}))
		Expect(vault.New(now).Adopt(ctx, pool)).To(And(MatchError(vault.ErrOtherKey), MatchError(ContainSubstring(old.ID()))))
		Expect(vault.New(now).Opens(ctx, pool)).To(And(MatchError(vault.ErrOtherKey), MatchError(ContainSubstring(old.ID()))))
		Expect(vault.New(now, old).Opens(ctx, pool)).To(Succeed())
		Expect(vault.New(now, old).Adopt(ctx, pool)).To(Succeed())
		Expect(sealedBy()).To(ConsistOf(old.ID(), now.ID()))
		Expect(vault.New(old).Adopt(ctx, pool)).To(MatchError(vault.ErrOtherKey), "secrets of the new one may be there already")
	})
	It("are chosen once, however many programs start at the same moment", func() {
		results := make(chan error, 8)
		for range cap(results) {
			go func() { results <- vault.New(vault.GenerateKey()).Adopt(ctx, pool) }()
		}
		var adopted int
		for range cap(results) {
			if err := <-results; err == nil {
				adopted++
			} else {
				Expect(err).To(MatchError(vault.ErrOtherKey))
			}
		}
		Expect(adopted).To(Equal(1))
		Expect(sealedBy()).To(HaveLen(1))
	})

	Describe("when the key changes", func() {
		var tenants []uuid.UUID
		columns := []vault.Sealed{
			{Table: "catalog.secret", Column: "sealed", Purpose: "spec"},
			{Table: "platform.spec_secret", Column: "sealed", Purpose: "signing", Installation: true},
			{Table: "elsewhere.secret", Column: "sealed", Purpose: "spec"},
		}
		with := func(v *vault.Vault) *vault.Vault {
			v.Keep(columns...)
			return v
		}
		// read opens everything with one key.
		read := func(key vault.Key) (plain []string, err error) {
			rows, err := super.Query(`select tenant_id, 'spec', sealed from catalog.secret where sealed is not null
				union all select $1, 'signing', sealed from platform.spec_secret`, uuid.Nil)
			if err != nil {
				return nil, err
			}
			defer rows.Close()
			for rows.Next() {
				var tenant uuid.UUID
				var purpose string
				var sealed []byte
				if err := rows.Scan(&tenant, &purpose, &sealed); err != nil {
					return nil, err
				}
				opened, err := vault.New(key).Open(tenant, purpose, sealed)
				if err != nil {
					return nil, err
				}
				plain = append(plain, string(opened))
			}
			return plain, rows.Err()
		}
		const each = 250 // more than two batches

		BeforeEach(func() {
			_, err := super.Exec(`
				create table catalog.secret (tenant_id uuid not null, id int not null, sealed bytea, primary key (tenant_id, id));
				alter table catalog.secret enable row level security; alter table catalog.secret force row level security;
				create policy tenant on catalog.secret using (tenant_id = (select platform.current_tenant())) with check (tenant_id = (select platform.current_tenant()));
				create table platform.spec_secret (id int primary key, sealed bytea);
				grant select, update on catalog.secret, platform.spec_secret to fusion_app`)
			Expect(err).NotTo(HaveOccurred())
			tenants = []uuid.UUID{testkit.NewTenant(d), testkit.NewTenant(d)}
			for _, t := range tenants {
				for i := range each {
					_, err := super.Exec(`insert into catalog.secret values ($1, $2, $3)`, t, i, seal(vault.New(old), t, "spec", fmt.Sprint(t, i)))
					Expect(err).NotTo(HaveOccurred())
				}
				_, err := super.Exec(`insert into catalog.secret values ($1, -1, null)`, t)
				Expect(err).NotTo(HaveOccurred())
			}
			_, err = super.Exec(`insert into platform.spec_secret values (1, $1)`, seal(vault.New(old), uuid.Nil, "signing", canary))
			Expect(err).NotTo(HaveOccurred())
			Expect(vault.New(old).Adopt(ctx, pool)).To(Succeed())
			Expect(vault.New(now, old).Adopt(ctx, pool)).To(Succeed())
		})

		It("nothing is left that somebody seals meanwhile", func() {
			tx, err := super.Begin()
			Expect(err).NotTo(HaveOccurred())
			defer func() { _ = tx.Rollback() }() // when an expectation fails
			_, err = tx.Exec(`update catalog.secret set sealed = $2 where tenant_id = $1 and id = 0`, tenants[0], seal(vault.New(old), tenants[0], "spec", "newer"))
			Expect(err).NotTo(HaveOccurred())
			var holder int
			Expect(tx.QueryRow(`select pg_backend_pid()`).Scan(&holder)).To(Succeed())
			v, patient, done := with(vault.New(now, old)), testkit.Open(d.Patient().App), make(chan error, 1)
			go func() {
				_, err := v.Rotate(ctx, patient)
				done <- err
			}()
			Eventually(func() (waiting bool, err error) {
				return waiting, super.QueryRow(`select exists (select from pg_stat_activity where $1 = any(pg_blocking_pids(pid)))`, holder).Scan(&waiting)
			}).Should(BeTrue())
			Expect(tx.Commit()).To(Succeed())
			Eventually(done).Should(Receive(BeNil()))
			Expect(read(now)).To(And(HaveLen(2*each+1), ContainElement("newer")))
		})
		It("everything is sealed anew, of every tenant, and the earlier key is forgotten", func() {
			v := with(vault.New(now, old))
			Expect(v.Status(ctx, pool)).To(Equal([]vault.Use{
				{Key: now.ID(), Current: true, Known: true},
				{Key: old.ID(), Known: true, Secrets: 2*each + 1},
			}))
			Expect(v.Rotate(ctx, pool)).To(BeEquivalentTo(2*each + 1))
			plain, err := read(now)
			Expect(err).NotTo(HaveOccurred())
			Expect(plain).To(And(HaveLen(2*each+1), ContainElements(canary, fmt.Sprint(tenants[0], 0), fmt.Sprint(tenants[1], each-1))))
			Expect(sealedBy()).To(Equal([]string{now.ID()}))
			Expect(v.Status(ctx, pool)).To(Equal([]vault.Use{{Key: now.ID(), Current: true, Known: true, Secrets: 2*each + 1}}))
			Expect(v.Rotate(ctx, pool)).To(BeZero())
		})
		It("what was interrupted goes on where it was", func() {
			// The disk fails in the middle of the second tenant's.
			_, err := super.Exec(fmt.Sprintf(`
				create function catalog.fail() returns trigger language plpgsql as $$ begin raise exception 'disk full'; end $$;
				create trigger fail before update on catalog.secret for each row when (old.tenant_id = '%s' and old.id = 150) execute function catalog.fail()`, tenants[1]))
			Expect(err).NotTo(HaveOccurred())
			v := with(vault.New(now, old))
			before, err := v.Rotate(ctx, pool)
			Expect(err).To(MatchError(ContainSubstring("disk full")))
			Expect(before).To(BeNumerically(">=", each))
			Expect(sealedBy()).To(ConsistOf(old.ID(), now.ID()))
			_, err = super.Exec(`drop trigger fail on catalog.secret`)
			Expect(err).NotTo(HaveOccurred())
			Expect(v.Rotate(ctx, pool)).To(BeEquivalentTo(2*each + 1 - before))
			_, err = read(now)
			Expect(err).NotTo(HaveOccurred())
		})
		It("a secret that cannot be opened does not hold up the others, and is not forgotten", func() {
			lost := vault.GenerateKey()
			_, err := super.Exec(`update catalog.secret set sealed = $1 where tenant_id = $2 and id = 0`, seal(vault.New(lost), tenants[0], "spec", canary), tenants[0])
			Expect(err).NotTo(HaveOccurred())
			v := with(vault.New(now, old))
			renewed, err := v.Rotate(ctx, pool)
			Expect(err).To(MatchError(And(ContainSubstring("sealed of catalog.secret"), ContainSubstring(lost.ID()))))
			Expect(errors.Is(err, vault.ErrUnknownKey)).To(BeTrue())
			Expect(renewed).To(BeEquivalentTo(2 * each))
			Expect(sealedBy()).To(ConsistOf(old.ID(), now.ID()))
			Expect(v.Status(ctx, pool)).To(ContainElement(vault.Use{Key: lost.ID(), Secrets: 1}))
		})
	})
})
