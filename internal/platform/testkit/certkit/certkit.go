// Package certkit makes certificates for specs.
package certkit

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/onsi/ginkgo/v2"
	"github.com/onsi/gomega"
)

// Authority signs certificates of servers and clients.
type Authority struct {
	// File holds its certificate, in PEM form.
	File string
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// New makes an authority, whose files are gone after the spec.
func New() *Authority {
	ginkgo.GinkgoHelper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	gomega.Expect(err).NotTo(gomega.HaveOccurred())
	a := &Authority{dir: ginkgo.GinkgoT().TempDir(), key: key, cert: &x509.Certificate{
		SerialNumber: serial(), Subject: pkix.Name{CommonName: "Authority of the specs"},
		NotBefore: time.Now().Add(-1000 * time.Hour), NotAfter: time.Now().Add(1000 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}}
	a.File = filepath.Join(a.dir, "ca.pem")
	write(a.File, "CERTIFICATE", a.sign(a.cert, &key.PublicKey))
	return a
}

// Issue makes a certificate for a host, or a client of that name, which is good for so long
// from now on; its files are those of an earlier one of the same name.
func (a *Authority) Issue(name, host string, life time.Duration) (certFile, keyFile string) {
	ginkgo.GinkgoHelper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	gomega.Expect(err).NotTo(gomega.HaveOccurred())
	template := &x509.Certificate{
		SerialNumber: serial(), Subject: pkix.Name{CommonName: host},
		NotBefore: time.Now().Add(-999 * time.Hour), NotAfter: time.Now().Add(life), KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	if ip := net.ParseIP(host); ip != nil {
		template.IPAddresses = []net.IP{ip}
	} else {
		template.DNSNames = []string{host}
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	gomega.Expect(err).NotTo(gomega.HaveOccurred())
	certFile, keyFile = filepath.Join(a.dir, name+".pem"), filepath.Join(a.dir, name+".key")
	write(certFile, "CERTIFICATE", a.sign(template, &key.PublicKey))
	write(keyFile, "PRIVATE KEY", private)
	return certFile, keyFile
}

// Pool trusts the authority.
func (a *Authority) Pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	return pool
}

func (a *Authority) sign(template *x509.Certificate, key *ecdsa.PublicKey) []byte {
	ginkgo.GinkgoHelper()
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, key, a.key)
	gomega.Expect(err).NotTo(gomega.HaveOccurred())
	if template == a.cert {
		a.cert, err = x509.ParseCertificate(der)
		gomega.Expect(err).NotTo(gomega.HaveOccurred())
	}
	return der
}

func serial() *big.Int {
	n, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	gomega.Expect(err).NotTo(gomega.HaveOccurred())
	return n
}

func write(file, kind string, der []byte) {
	ginkgo.GinkgoHelper()
	gomega.Expect(os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600)).To(gomega.Succeed())
}
