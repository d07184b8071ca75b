package testkit

import (
	"bytes"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	netmail "net/mail"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"

	"github.com/onsi/ginkgo/v2"
	"github.com/onsi/gomega"
)

// mailFolder is where the programs of this test process leave their letters: whichever of
// those that share a database comes first delivers.
var mailFolder = sync.OnceValue(func() string {
	ginkgo.GinkgoHelper()
	dir, err := Scratch()
	gomega.Expect(err).NotTo(gomega.HaveOccurred())
	cleanups = append(cleanups, func() error { return os.RemoveAll(dir) })
	return dir
})

// Letter is one that was delivered.
type Letter struct {
	To, Subject, Text, HTML string
	Header                  netmail.Header
}

var code = regexp.MustCompile(`enter this code: (\S+)`)

// Token that the letter brings; empty when it brings none.
func (l Letter) Token() string {
	if m := code.FindStringSubmatch(l.Text); m != nil {
		return m[1]
	}
	return ""
}

// Letters to an address that were delivered so far, in the order in which they were sent.
// Ask with Eventually: they leave after the commit.
func Letters(to string) []Letter {
	ginkgo.GinkgoHelper()
	files, err := filepath.Glob(filepath.Join(mailFolder(), "*.eml")) // by id, which is by time
	gomega.Expect(err).NotTo(gomega.HaveOccurred())
	list := []Letter{}
	for _, file := range files {
		content, err := os.ReadFile(file)
		gomega.Expect(err).NotTo(gomega.HaveOccurred())
		if l := ReadLetter(content); strings.EqualFold(l.To, to) {
			list = append(list, l)
		}
	}
	return list
}

// ReadLetter takes a letter apart, as the reader's program does.
func ReadLetter(content []byte) (l Letter) {
	ginkgo.GinkgoHelper()
	m, err := netmail.ReadMessage(bytes.NewReader(content))
	gomega.Expect(err).NotTo(gomega.HaveOccurred())
	l.Header = m.Header
	to, err := m.Header.AddressList("To")
	gomega.Expect(err).NotTo(gomega.HaveOccurred())
	gomega.Expect(to).To(gomega.HaveLen(1))
	l.To = to[0].Address
	l.Subject, err = new(mime.WordDecoder).DecodeHeader(m.Header.Get("Subject"))
	gomega.Expect(err).NotTo(gomega.HaveOccurred())
	kind, parameters, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	gomega.Expect(err).NotTo(gomega.HaveOccurred())
	gomega.Expect(kind).To(gomega.Equal("multipart/alternative"))
	for parts := multipart.NewReader(m.Body, parameters["boundary"]); ; {
		p, err := parts.NextRawPart()
		if errors.Is(err, io.EOF) {
			return l
		}
		gomega.Expect(err).NotTo(gomega.HaveOccurred())
		body, err := io.ReadAll(quotedprintable.NewReader(p))
		gomega.Expect(err).NotTo(gomega.HaveOccurred())
		text := strings.ReplaceAll(string(body), "\r\n", "\n")
		switch p.Header.Get("Content-Type") {
		case "text/plain; charset=utf-8":
			l.Text = text
		case "text/html; charset=utf-8":
			l.HTML = text
		default:
			ginkgo.Fail("unexpected part " + p.Header.Get("Content-Type"))
		}
	}
}
