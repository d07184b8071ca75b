package identity

import (
	"cmp"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"maps"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
	"time"

	"github.com/google/uuid"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

const (
	clientID = "the-shop"
	audience = "https://api.shop.example"
)

// issuer is an identity provider that says what a spec wants it to.
type issuer struct {
	*httptest.Server

	mu     sync.Mutex
	key    *rsa.PrivateKey
	kid    string
	use    string                       // of its key
	person object                       // whom it signs in
	more   object                       // what it tells of them when it is asked, beside the token
	place  string                       // where it says that it signs people in; empty: at itself
	twist  func(header, claims object)  // of the next tokens
	forge  func(text []byte) []byte     // in place of its signature
	codes  map[string]map[string]string // what was asked for, by code
	asked  int                          // for keys
	down   bool
	held   chan struct{} // until it is closed, nothing is answered
	stuck  int           // how many were kept waiting so
}

func newIssuer() *issuer {
	GinkgoHelper()
	i := &issuer{kid: "first", use: "sig", codes: map[string]map[string]string{}}
	var err error
	i.key, err = rsa.GenerateKey(rand.Reader, 2048)
	Expect(err).NotTo(HaveOccurred())
	i.person = object{"sub": uuid.NewString(), "email": newAddress(), "email_verified": true, "name": "Ana Lindqvist"}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		said := object{
			"issuer": i.URL, "authorization_endpoint": cmp.Or(i.place, i.URL+"/authorize"), "token_endpoint": i.URL + "/token", "jwks_uri": i.URL + "/keys",
			"id_token_signing_alg_values_supported": []string{"RS256", "HS256", "none"},
		}
		if i.more != nil {
			said["userinfo_endpoint"] = i.URL + "/userinfo"
		}
		i.answer(w, said)
	})
	mux.HandleFunc("GET /userinfo", func(w http.ResponseWriter, _ *http.Request) { i.answer(w, i.more) })
	mux.HandleFunc("GET /keys", func(w http.ResponseWriter, _ *http.Request) {
		i.mu.Lock()
		i.asked++
		public := object{
			"kty": "RSA", "use": i.use, "alg": "RS256", "kid": i.kid,
			"n": base64.RawURLEncoding.EncodeToString(i.key.N.Bytes()), "e": base64.RawURLEncoding.EncodeToString(big.NewInt(int64(i.key.E)).Bytes()),
		}
		i.mu.Unlock()
		i.answer(w, object{"keys": []object{public, {"kty": "oct", "kid": "secret", "k": "AAAA", "alg": "HS256"}}})
	})
	mux.HandleFunc("POST /token", i.exchange)
	i.Server = httptest.NewServer(mux)
	DeferCleanup(i.Close)
	return i
}

func (i *issuer) answer(w http.ResponseWriter, body object) {
	i.mu.Lock()
	down, held := i.down, i.held
	i.mu.Unlock()
	if held != nil {
		i.is(func(i *issuer) { i.stuck++ })
		<-held
	}
	if down {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(body)
}

func (i *issuer) is(change func(*issuer)) {
	i.mu.Lock()
	defer i.mu.Unlock()
	change(i)
}

// hold keeps everybody waiting until the spec, or who calls release, ends.
func (i *issuer) hold() (release func()) {
	held := make(chan struct{})
	release = sync.OnceFunc(func() { close(held) })
	i.is(func(i *issuer) { i.held = held })
	DeferCleanup(release)
	return release
}

func (i *issuer) kept() (n int) {
	i.is(func(i *issuer) { n = i.stuck })
	return n
}

func (i *issuer) questions() int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.asked
}

// exchange gives tokens for a code, once, to who asked for it (RFC 7636).
func (i *issuer) exchange(w http.ResponseWriter, r *http.Request) {
	code := r.FormValue("code")
	id, secret, _ := r.BasicAuth()
	i.mu.Lock()
	asked, ok := i.codes[code]
	delete(i.codes, code)
	i.mu.Unlock()
	proof := sha256.Sum256([]byte(r.FormValue("code_verifier")))
	if !ok || id != clientID || secret != "hush" || asked["redirect_uri"] != r.FormValue("redirect_uri") || asked["code_challenge"] != base64.RawURLEncoding.EncodeToString(proof[:]) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusBadRequest)
		_, _ = w.Write([]byte(`{"error":"invalid_grant"}`))
		return
	}
	i.answer(w, object{"access_token": "opaque", "token_type": "Bearer", "id_token": i.token(clientID, object{"nonce": asked["nonce"]})})
}

// token is what the provider says of its person, to an audience.
func (i *issuer) token(audience string, more object) string {
	i.mu.Lock()
	defer i.mu.Unlock()
	now := time.Now()
	header := object{"alg": "RS256", "kid": i.kid, "typ": "JWT"}
	claims := object{"iss": i.URL, "aud": audience, "iat": now.Unix(), "exp": now.Add(5 * time.Minute).Unix()}
	maps.Copy(claims, i.person)
	maps.Copy(claims, more)
	if i.twist != nil {
		i.twist(header, claims)
	}
	encode := func(o object) string {
		text, err := json.Marshal(o)
		if err != nil {
			panic(err)
		}
		return base64.RawURLEncoding.EncodeToString(text)
	}
	text := encode(header) + "." + encode(claims)
	sign := i.forge
	if sign == nil {
		sign = func(text []byte) []byte {
			sum := sha256.Sum256(text)
			signature, err := rsa.SignPKCS1v15(rand.Reader, i.key, crypto.SHA256, sum[:])
			if err != nil {
				panic(err)
			}
			return signature
		}
	}
	return text + "." + base64.RawURLEncoding.EncodeToString(sign([]byte(text)))
}

// authorize is what the provider does once its person has said yes: the address that it
// sends the browser to.
func (i *issuer) authorize(address string) (callback string) {
	GinkgoHelper()
	u, err := url.Parse(address)
	Expect(err).NotTo(HaveOccurred())
	Expect(u.Scheme + "://" + u.Host + u.Path).To(Equal(i.URL + "/authorize"))
	asked := map[string]string{}
	for name, values := range u.Query() {
		asked[name] = values[0]
	}
	Expect(asked).To(And(
		HaveKeyWithValue("client_id", clientID), HaveKeyWithValue("response_type", "code"), HaveKeyWithValue("code_challenge_method", "S256"),
		HaveKeyWithValue("code_challenge", HaveLen(43)), HaveKeyWithValue("nonce", HaveLen(43)), HaveKeyWithValue("state", HaveLen(43)), HaveKeyWithValue("scope", ContainSubstring("openid")),
	))
	code := uuid.NewString()
	i.is(func(i *issuer) { i.codes[code] = asked })
	return asked["redirect_uri"] + "?code=" + code + "&state=" + asked["state"]
}
