package identity

import (
	"net/http"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/testkit"
)

var _ = Describe("what is over", func() {
	var (
		s     *shop
		email string
		g     granted
	)
	tables := []string{"login_guard", "letter_guard", "one_time_token", "device", "session", "refresh_token"}
	BeforeEach(func() {
		s = open()
		email = s.member()
		g = s.signedIn(email)
		s.login(newAddress(), wrong)
		Eventually(func() (ran bool) {
			Expect(s.super.QueryRow(`select last_run_at is not null from platform.job where name = $1`, sweepName).Scan(&ran)).To(Succeed())
			return ran
		}).Should(BeTrue())
		// And does not again, however long the suite takes.
		Expect(s.super.Exec(`update platform.job set next_run_at = now() + interval '1 day' where name = $1`, sweepName)).Error().NotTo(HaveOccurred())
		Expect(s.Post("/v1/auth/password/forgot", object{"email": email}).Status).To(Equal(http.StatusAccepted))
	})

	rows := func() map[string]int {
		GinkgoHelper()
		n := map[string]int{}
		for _, table := range tables {
			var of int
			Expect(s.super.QueryRow(`select count(*) from identity.`+table+` where tenant_id = $1`, s.Tenant).Scan(&of)).To(Succeed())
			n[table] = of
		}
		return n
	}
	// old makes copies of what is there, of another time.
	old := func(age string, copies int) {
		GinkgoHelper()
		for range copies {
			s.exec(`insert into identity.login_guard (tenant_id, subject, fails, last_at, locked_until) select $1, sha256(random()::text::bytea), 5, now() - $2::interval, now() - $2::interval`, age)
			s.exec(`insert into identity.letter_guard (tenant_id, subject, sent_at, last_at) select $1, sha256(random()::text::bytea), '{}', now() - $2::interval`, age)
			s.exec(`insert into identity.one_time_token (tenant_id, hash, purpose, account_id, bound, expires_at, used_at) select $1, sha256(random()::text::bytea), 'verify', $3, '', now() - $2::interval, now() - $2::interval`, age, g.Account.ID)
			s.exec(`insert into identity.device (tenant_id, hash, account_id, last_seen_at) select $1, sha256(random()::text::bytea), $3, now() - $2::interval`, age, g.Account.ID)
			s.exec(`with ended as (
					insert into identity.session (tenant_id, id, account_id, epoch, ip, user_agent, amr, created_at, last_seen_at, expires_at, ended_at)
					select $1, gen_random_uuid(), $3, 1, '', '', '{pwd}', now(), now(), now() + interval '7 days', now() - $2::interval returning id)
				insert into identity.refresh_token (tenant_id, hash, session_id, expires_at) select $1, sha256(random()::text::bytea), id, now() + interval '7 days' from ended`, age, g.Account.ID)
		}
	}
	sweep := func(piece int) (more bool) {
		GinkgoHelper()
		ctx := testkit.As(s.Tenant)
		Expect(s.App.DB().InTx(ctx, func(tx *db.Tx) (err error) {
			more, err = store{}.sweep(ctx, tx, piece)
			return err
		})).To(Succeed())
		return more
	}

	It("is swept, so many rows at a time, and what is in use is not", func() {
		s.exec(`update identity.one_time_token set expires_at = now() + interval '1 hour' where tenant_id = $1`)
		before := rows()
		Expect(before).To(HaveEach(BeNumerically(">", 0)))
		Expect(sweep(100)).To(BeFalse())
		Expect(rows()).To(Equal(before))

		old("200 days", 3)
		Expect(sweep(2)).To(BeTrue(), "there is more")
		for table, n := range rows() {
			Expect(n).To(Equal(before[table]+1), table)
		}
		Expect(sweep(2)).To(BeFalse())
		Expect(rows()).To(Equal(before))
		Expect(s.as(g).Get("/v1/me").Status).To(Equal(http.StatusOK))
		Expect(s.Post("/v1/auth/refresh", object{"refreshToken": g.RefreshToken}).Status).To(Equal(http.StatusOK))
		Expect(s.With("").Post("/v1/auth/password/reset", object{"token": s.token(email, "reset-password"), "password": "another good secret"}).Status).To(Equal(http.StatusNoContent))
	})

	It("is swept with so many tokens at a time, the session after the last of them", func() {
		before := rows()
		old("200 days", 1)
		s.exec(`insert into identity.refresh_token (tenant_id, hash, session_id, expires_at)
			select $1, sha256(random()::text::bytea), id, now() from identity.session, generate_series(1, 4) where tenant_id = $1 and ended_at < now() - interval '100 days'`)
		for _, left := range []int{3, 1} {
			Expect(sweep(2)).To(BeTrue())
			Expect(rows()).To(And(HaveKeyWithValue("session", before["session"]+1), HaveKeyWithValue("refresh_token", before["refresh_token"]+left)))
		}
		Expect(sweep(2)).To(BeFalse())
		Expect(rows()).To(Equal(before))
	})

	It("is left for the next time where somebody holds it", func() {
		before := rows()
		old("200 days", 1)
		holding, err := s.super.Begin()
		Expect(err).NotTo(HaveOccurred())
		defer func() { _ = holding.Rollback() }() // when an expectation fails
		for _, table := range tables {
			_, err := holding.Exec(`select from identity.`+table+` where tenant_id = $1 for update`, s.Tenant)
			Expect(err).NotTo(HaveOccurred())
		}
		old("200 days", 1)
		sweep(100)
		for table, n := range rows() {
			Expect(n).To(Equal(before[table]+1), table)
		}
		Expect(holding.Commit()).To(Succeed())
		sweep(100)
		Expect(rows()).To(Equal(before))
	})

	It("is kept as long as it is of use", func() {
		before := rows()
		old("10 minutes", 1)
		s.exec(`update identity.one_time_token set expires_at = now() + interval '1 minute' where tenant_id = $1`)
		s.exec(`update identity.login_guard set last_at = now() - interval '20 minutes', locked_until = now() + interval '1 minute' where tenant_id = $1`)
		sweep(100)
		for table, n := range rows() {
			Expect(n).To(Equal(before[table]+1), table)
		}
	})

	It("is swept by a running program, of every merchant", func() {
		other := open()
		for _, each := range []*shop{s, other} {
			each.exec(`insert into identity.login_guard (tenant_id, subject, fails, last_at) values ($1, 'swept', 1, now() - interval '1 day')`)
		}
		s.exec(`update platform.job set next_run_at = now() where name = '` + sweepName + `' and $1::uuid is not null`)
		Eventually(func() (left int) {
			Expect(s.super.QueryRow(`select count(*) from identity.login_guard where subject = 'swept'`).Scan(&left)).To(Succeed())
			return left
		}, "30s").Should(BeZero())
		var failed []string
		rows, err := s.super.Query(`select last_error from platform.job where name = $1 and last_error is not null`, sweepName)
		Expect(err).NotTo(HaveOccurred())
		defer rows.Close()
		for rows.Next() {
			var text string
			Expect(rows.Scan(&text)).To(Succeed())
			failed = append(failed, text)
		}
		Expect(rows.Err()).NotTo(HaveOccurred())
		Expect(failed).To(BeEmpty(), strings.Join(failed, "\n"))
	})
})
