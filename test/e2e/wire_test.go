package e2e_test

import (
	"crypto/sha256"
	"encoding/base64"
	"io"
	"net"
	"net/url"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

// answerTo sends bytes that no HTTP client would, and returns all that comes back. They
// must ask for the end of the connection.
func answerTo(request string) string {
	GinkgoHelper()
	u, err := url.Parse(installed.URL())
	Expect(err).NotTo(HaveOccurred())
	conn, err := net.DialTimeout("tcp", u.Host, hurry)
	Expect(err).NotTo(HaveOccurred())
	defer func() { _ = conn.Close() }()
	Expect(conn.SetDeadline(time.Now().Add(hurry))).To(Succeed())
	_, err = conn.Write([]byte(request))
	Expect(err).NotTo(HaveOccurred())
	raw, err := io.ReadAll(conn)
	Expect(err).NotTo(HaveOccurred())
	return string(raw)
}

// forgedCursor is what somebody can make who knows how cursors are made: their checksum
// is no secret.
func forgedCursor(position string) string {
	sum := sha256.Sum256([]byte("cursor" + position))
	return base64.RawURLEncoding.EncodeToString(append(sum[:6], position...))
}
