package mail

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/smtp"
	"net/textproto"
	"net/url"
	"os"
	"strings"
	"time"
)

// errRefused says that trying again changes nothing.
var errRefused = errors.New("refused for good")

// postbox is a mail server that takes letters for everybody.
type postbox struct {
	host, port     string
	user, password string
	implicitTLS    bool // smtps
	plain          bool // without TLS: on this machine, or because the operator says so
	authorities    *x509.CertPool
}

var errURL = errors.New("must be smtp://user:password@host:587 or smtps://user:password@host (special characters percent-encoded)")

// parseURL never repeats the text in its errors: it holds a password.
func parseURL(text string) (*postbox, error) {
	u, err := url.Parse(text)
	if err != nil || u.Hostname() == "" || u.Path != "" && u.Path != "/" || u.Fragment != "" {
		return nil, errURL
	}
	b := &postbox{host: u.Hostname(), port: u.Port(), user: u.User.Username()}
	b.password, _ = u.User.Password()
	for name, values := range u.Query() {
		if name != "starttls" || len(values) != 1 || values[0] != "off" {
			return nil, errURL
		}
		b.plain = true
	}
	switch u.Scheme {
	case "smtps":
		b.implicitTLS = true
		if b.port == "" {
			b.port = "465"
		}
	case "smtp":
		if b.port == "" {
			b.port = "587"
		}
	default:
		return nil, errURL
	}
	if strings.ContainsAny(b.host+b.user+b.password, "\r\n\x00") {
		return nil, errURL
	}
	return b, nil
}

func newSMTP(o Options) (*postbox, error) {
	b, err := parseURL(o.SMTPURL)
	if err != nil {
		return nil, fmt.Errorf("mail.smtp_url %w", err)
	}
	if o.CAFile != "" {
		pem, err := os.ReadFile(o.CAFile)
		if err != nil {
			return nil, fmt.Errorf("mail.ca_file: %w", err)
		}
		b.authorities = x509.NewCertPool()
		if !b.authorities.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("mail.ca_file: there is no certificate in %s", o.CAFile)
		}
	}
	return b, nil
}

func (b *postbox) String() string { return "SMTP at " + net.JoinHostPort(b.host, b.port) }

// dialTimeout and talkTimeout bound one try: a server that says nothing must not keep the
// other letters.
const (
	dialTimeout = 10 * time.Second
	talkTimeout = 60 * time.Second
)

var (
	// ErrPlain refuses to talk in the clear.
	ErrPlain = errors.New("the mail server offers no STARTTLS, and tokens do not go over the network in the clear (smtps:// may work; ?starttls=off allows it)")
	// ErrStranger means that the server does not take who we say we are.
	ErrStranger = errors.New("sign in")
)

// open reaches the server and gets ready to hand letters over; end hangs up.
func (b *postbox) open(ctx context.Context) (c *smtp.Client, end func(), err error) {
	ctx, cancel := context.WithTimeout(ctx, talkTimeout)
	dialer := &net.Dialer{Timeout: dialTimeout}
	conn, err := dialer.DialContext(ctx, "tcp", net.JoinHostPort(b.host, b.port))
	if err != nil {
		cancel()
		return nil, nil, err
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	end = func() {
		stop()
		cancel()
		_ = conn.Close() // may be closed
	}
	if c, err = b.greet(conn); err != nil {
		end()
		return nil, nil, err
	}
	return c, end, nil
}

// greet leaves the clear before anything is said that matters.
func (b *postbox) greet(conn net.Conn) (*smtp.Client, error) {
	secure := &tls.Config{ServerName: b.host, RootCAs: b.authorities, MinVersion: tls.VersionTLS12}
	talk := conn
	if b.implicitTLS {
		talk = tls.Client(conn, secure)
	}
	c, err := smtp.NewClient(talk, b.host)
	if err != nil {
		return nil, err
	}
	if err := c.Hello(hostname()); err != nil {
		return nil, err
	}
	if !b.implicitTLS && !b.plain {
		offered, _ := c.Extension("STARTTLS")
		switch {
		case offered:
			if err := c.StartTLS(secure); err != nil {
				return nil, fmt.Errorf("STARTTLS: %w", err)
			}
		case !isLoopback(conn.RemoteAddr()):
			return nil, ErrPlain
		}
	}
	if b.user != "" {
		if err := c.Auth(smtp.PlainAuth("", b.user, b.password, b.host)); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrStranger, err)
		}
	}
	return c, nil
}

func (b *postbox) send(ctx context.Context, l letter) error {
	c, end, err := b.open(ctx)
	if err != nil {
		return fmt.Errorf("%s: %w", b, err)
	}
	defer end()
	if err := c.Mail(l.from); err != nil {
		return fmt.Errorf("%s, sender: %w", b, err)
	}
	if err := c.Rcpt(l.to); err != nil {
		return fmt.Errorf("%s, recipient: %w", b, final(err))
	}
	w, err := c.Data()
	if err != nil {
		return fmt.Errorf("%s: %w", b, final(err))
	}
	if _, err := w.Write(l.content); err != nil {
		return fmt.Errorf("%s: %w", b, err)
	}
	if err := w.Close(); err != nil {
		return fmt.Errorf("%s: %w", b, final(err))
	}
	_ = c.Quit() // the letter is theirs already
	return nil
}

func (b *postbox) check(ctx context.Context) error {
	c, end, err := b.open(ctx)
	if err != nil {
		return err
	}
	defer end()
	return c.Quit()
}

// final marks the answers with which a server refuses this letter or this person for good
// (RFC 5321, 4.2.1: 5yz). Other refusals are about us, and can be mended.
func final(err error) error {
	if e, ok := errors.AsType[*textproto.Error](err); ok && e.Code >= 500 {
		return fmt.Errorf("%w: %w", errRefused, err)
	}
	return err
}

func isLoopback(a net.Addr) bool {
	t, ok := a.(*net.TCPAddr)
	return ok && t.IP.IsLoopback()
}

// hostname is how the program introduces itself; some servers refuse what is no name.
func hostname() string {
	name, err := os.Hostname()
	if err != nil || name == "" || strings.ContainsAny(name, " \r\n\x00") {
		return "localhost"
	}
	return name
}
