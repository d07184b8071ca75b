package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"time"

	"github.com/fusioncommerce/fusion/internal/platform/config"
	"github.com/fusioncommerce/fusion/internal/platform/mail"
)

// mailPatience is how long the mail server may take to answer.
const mailPatience = 15 * time.Second

// mail hands nothing over: it goes as far as signing in, or as trying the folder.
func (c *checkup) mail(ctx context.Context, cfg config.Config) {
	asking, cancel := context.WithTimeout(ctx, mailPatience)
	defer cancel()
	where, err := mail.Check(asking, mailOptions(cfg))
	sent := !cfg.Mail.SMTPURL.IsZero()
	untrusted := &tls.CertificateVerificationError{}
	switch {
	case err == nil && sent:
		c.ok("mail", "%s takes letters from %s", where, cfg.Mail.From)
	case err == nil:
		c.ok("mail", "letters become %s and go no further: mail.smtp_url names a server that sends them", where)
	case !sent:
		c.note("mail", problem, fmt.Sprintf("letters cannot become %s: %s", where, err), "Let the account of the shop write there, or name another folder as mail.dir")
	case where == "":
		c.note("mail", problem, err.Error(), "Mend it; the shop does not start with it")
	case errors.Is(err, mail.ErrPlain):
		c.note("mail", problem, where+": "+err.Error(), "Use smtps:// in mail.smtp_url, or have the server offer STARTTLS; letters wait meanwhile")
	case errors.Is(err, mail.ErrStranger):
		c.note("mail", problem, where+" does not let the shop in: "+err.Error(), "Check the user and the password in mail.smtp_url; letters wait meanwhile")
	case errors.As(err, &untrusted):
		c.note("mail", problem, where+" shows a certificate that cannot be trusted: "+err.Error(), "Name the authority that has signed it in mail.ca_file, and the server as its certificate does; letters wait meanwhile")
	default:
		c.note("mail", problem, where+" is out of reach: "+err.Error(), "Check the host and the port in mail.smtp_url, and that this machine may connect to them; letters wait meanwhile")
	}
}
