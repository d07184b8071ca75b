package mail

import (
	"bytes"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	netmail "net/mail"
	"net/textproto"
	"strings"
	"time"

	"github.com/google/uuid"
)

// letter is ready to be handed over.
type letter struct {
	id       uuid.UUID
	from, to string // addresses of the envelope
	content  []byte // RFC 5322, lines end in CRLF
}

// compose writes a letter in two forms, of which the reader's program shows one. What is
// the same message has the same id and the same boundary: sent twice, it is the same letter.
func (l *letters) compose(id uuid.UUID, at time.Time, to string, shop look, w written) (letter, error) {
	from := l.from
	from.Name = shop.sender
	_, domain, _ := strings.Cut(from.Address, "@")
	var out, body bytes.Buffer
	parts := multipart.NewWriter(&body)
	if err := parts.SetBoundary("=_" + strings.ReplaceAll(id.String(), "-", "")); err != nil {
		return letter{}, err
	}
	for _, part := range []struct{ kind, content string }{{"text/plain", w.text}, {"text/html", w.html}} {
		h := textproto.MIMEHeader{}
		h.Set("Content-Type", part.kind+"; charset=utf-8")
		h.Set("Content-Transfer-Encoding", "quoted-printable")
		to, err := parts.CreatePart(h)
		if err != nil {
			return letter{}, err
		}
		encoder := quotedprintable.NewWriter(to)
		if _, err := io.WriteString(encoder, strings.ReplaceAll(part.content, "\n", "\r\n")); err != nil {
			return letter{}, err
		}
		if err := encoder.Close(); err != nil {
			return letter{}, err
		}
	}
	if err := parts.Close(); err != nil {
		return letter{}, err
	}
	var answers string
	if shop.replyTo != "" {
		answers = (&netmail.Address{Name: shop.sender, Address: shop.replyTo}).String()
	}
	for _, h := range [][2]string{
		{"Date", at.UTC().Format(time.RFC1123Z)},
		{"Message-ID", "<" + id.String() + "@" + domain + ">"},
		{"From", from.String()},
		{"Reply-To", answers},
		{"To", (&netmail.Address{Address: to}).String()},
		{"Subject", mime.QEncoding.Encode("utf-8", w.subject)},
		{"MIME-Version", "1.0"},
		{"Auto-Submitted", "auto-generated"}, // RFC 3834: no answers from machines
		{"Content-Type", `multipart/alternative; boundary="` + parts.Boundary() + `"`},
	} {
		if h[1] != "" {
			_, _ = fmt.Fprintf(&out, "%s: %s\r\n", h[0], h[1])
		}
	}
	out.WriteString("\r\n")
	out.Write(body.Bytes())
	return letter{id: id, from: l.from.Address, to: to, content: out.Bytes()}, nil
}
