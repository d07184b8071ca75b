package e2e_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"mime"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/google/uuid"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/santhosh-tekuri/jsonschema/v6"
)

// document is the OpenAPI document of the deployment. The specs believe it, and
// therefore hold every answer to it.
type document struct {
	raw        []byte
	Operations []*operation
	Components struct {
		Schemas map[string]struct {
			Properties map[string]any `json:"properties"`
			Required   []string       `json:"required"`
		} `json:"schemas"`
	}

	compiler *jsonschema.Compiler
	mu       sync.Mutex
	compiled map[string]*jsonschema.Schema
}

// operation is a method on a path.
type operation struct {
	Method, Path string

	ID         string                `json:"operationId"`
	Security   []map[string][]string `json:"security"`
	Text       string                `json:"description"`
	Unrecorded bool                  `json:"x-unrecorded"` // leaves no entry in the audit log by itself
	Operator   bool                  `json:"x-operator"`   // is nowhere for others
	Parameters []struct {
		Name     string `json:"name"`
		In       string `json:"in"`
		Required bool   `json:"required"`
	} `json:"parameters"`
	RequestBody *struct {
		Required bool                 `json:"required"`
		Content  map[string]mediaType `json:"content"`
	} `json:"requestBody"`
	Responses map[string]struct {
		Description string               `json:"description"`
		Headers     map[string]any       `json:"headers"`
		Content     map[string]mediaType `json:"content"`
	} `json:"responses"`

	pattern *regexp.Regexp
}

type mediaType struct {
	Schema struct {
		Ref string `json:"$ref"`
	} `json:"schema"`
}

var placeholder = regexp.MustCompile(`\\\{[^/]+\\\}`)

// Public operations need no credential.
func (o *operation) Public() bool { return len(o.Security) == 0 }

// ForAnybody tells that any credential will do.
func (o *operation) ForAnybody() bool { return strings.Contains(o.Text, "Permission: none") }

// Permission that the operation asks for.
func (o *operation) Permission() string {
	_, rest, found := strings.Cut(o.Text, "Permission: `")
	if !found {
		return ""
	}
	name, _, _ := strings.Cut(rest, "`")
	return name
}

// ByID tells that the path names one thing.
func (o *operation) ByID() bool { return strings.Contains(o.Path, "{") }

func readDocument(base string) *document {
	GinkgoHelper()
	resp, err := http.Get(base + "/openapi.json")
	Expect(err).NotTo(HaveOccurred())
	defer func() { _ = resp.Body.Close() }()
	raw, err := io.ReadAll(resp.Body)
	Expect(err).NotTo(HaveOccurred())
	Expect(resp).To(HaveHTTPStatus(http.StatusOK))

	d := &document{raw: raw, compiler: jsonschema.NewCompiler(), compiled: map[string]*jsonschema.Schema{}}
	var paths struct {
		Paths map[string]map[string]*operation `json:"paths"`
	}
	Expect(json.Unmarshal(raw, &paths)).To(Succeed())
	Expect(json.Unmarshal(raw, d)).To(Succeed())
	for path, methods := range paths.Paths {
		for method, o := range methods {
			o.Method, o.Path = strings.ToUpper(method), path
			o.pattern = regexp.MustCompile("^" + placeholder.ReplaceAllString(regexp.QuoteMeta(path), "[^/]+") + "$")
			d.Operations = append(d.Operations, o)
		}
	}
	slices.SortFunc(d.Operations, func(a, b *operation) int { return strings.Compare(a.Path+" "+a.Method, b.Path+" "+b.Method) })

	tree, err := jsonschema.UnmarshalJSON(bytes.NewReader(raw))
	Expect(err).NotTo(HaveOccurred())
	d.compiler.AssertFormat()
	d.compiler.UseLoader(jsonschema.SchemeURLLoader{}) // what it refers to, it contains
	Expect(d.compiler.AddResource(documentURL, tree)).To(Succeed())
	return d
}

const documentURL = "https://shop.example/openapi.json"

// schema compiles what stands at a JSON pointer of the document.
func (d *document) schema(tokens ...string) (*jsonschema.Schema, error) {
	pointer := "#"
	for _, t := range tokens {
		pointer += "/" + url.PathEscape(strings.NewReplacer("~", "~0", "/", "~1").Replace(t))
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if s, ok := d.compiled[pointer]; ok {
		return s, nil
	}
	s, err := d.compiler.Compile(documentURL + pointer)
	if err != nil {
		return nil, fmt.Errorf("schema at %s: %w", pointer, err)
	}
	d.compiled[pointer] = s
	return s, nil
}

func (d *document) named(id string) *operation {
	GinkgoHelper()
	i := slices.IndexFunc(d.Operations, func(o *operation) bool { return o.ID == id })
	Expect(i).To(BeNumerically(">=", 0), "the document has no operation %s", id)
	return d.Operations[i]
}

// fields of the body of an operation.
func (d *document) fields(o *operation) []string {
	name := strings.TrimPrefix(o.RequestBody.Content["application/json"].Schema.Ref, "#/components/schemas/")
	return slices.Sorted(maps.Keys(d.Components.Schemas[name].Properties))
}

// The first release's paths are the same without the version.
var unversioned = regexp.MustCompile(`^/(products|orders|inventory|campaigns|payments|shipments)(/|$)`)

func (d *document) find(method, path string) (o *operation, others []string) {
	if unversioned.MatchString(path) {
		path = "/v1" + path
	}
	if method == http.MethodHead {
		method = http.MethodGet
	}
	// What is written out comes before what is templated (OpenAPI 3.1, 4.8.8.2), and a method
	// that only the templated one has is its.
	templated := func(o *operation) int { return strings.Count(o.Path, "{") }
	for _, candidate := range slices.SortedStableFunc(slices.Values(d.Operations), func(a, b *operation) int { return templated(a) - templated(b) }) {
		if !candidate.pattern.MatchString(path) {
			continue
		}
		others = append(others, candidate.Method)
		if o == nil && candidate.Method == method {
			o = candidate
		}
	}
	return o, others
}

// exchange is a request with its answer.
type exchange struct {
	method  string
	url     *url.URL
	asked   http.Header
	sent    []byte
	status  int
	header  http.Header
	body    []byte
	problem problem // of an answer that is one
}

// problem is RFC 9457's, with what we add to it.
type problem struct {
	Type, Title, Detail, Instance, Code, RequestID string
	Status                                         int
	Errors                                         []struct{ Pointer, Code, Detail string }
}

// assets are served beside the API and described by nothing.
var assets = []string{"/", "/docs", "/docs/scalar.js", "/openapi.json"}

// check holds an exchange to the document and to the conventions of the API.
func (d *document) check(x *exchange) error {
	wrong := []error{d.manners(x)}
	op, others := d.find(x.method, x.url.EscapedPath())
	switch {
	case op != nil:
		wrong = append(wrong, d.follows(x, op))
	case slices.Contains(assets, x.url.Path):
		return errors.Join(wrong...)
	case x.status == http.StatusMethodNotAllowed:
		for _, m := range others {
			if !strings.Contains(x.header.Get("Allow"), m) {
				wrong = append(wrong, fmt.Errorf("Allow is %q and leaves out %s", x.header.Get("Allow"), m))
			}
		}
	case x.status != http.StatusNotFound && x.status != http.StatusUnauthorized:
		wrong = append(wrong, fmt.Errorf("no such operation, and yet it answers %d", x.status))
	}
	if x.status >= 400 && x.method != http.MethodHead {
		wrong = append(wrong, d.isProblem(x, op))
	}
	if err := errors.Join(wrong...); err != nil {
		return fmt.Errorf("%s %s answered %d\n%v\nto: %.600s\n%w\n%.2000s", x.method, x.url.RequestURI(), x.status, x.header, x.sent, err, x.body)
	}
	return nil
}

var requestID = regexp.MustCompile(`^[A-Za-z0-9._:/+=-]{1,128}$`)

// manners are what every answer has.
func (d *document) manners(x *exchange) error {
	var wrong []error
	if x.status >= 500 {
		wrong = append(wrong, errors.New("it is our fault"))
	}
	id := x.header.Get("X-Request-Id")
	if asked := x.asked.Get("X-Request-Id"); id == "" || requestID.MatchString(asked) && id != asked {
		wrong = append(wrong, fmt.Errorf("X-Request-Id is %q", id))
	}
	if x.header.Get("X-Content-Type-Options") != "nosniff" {
		wrong = append(wrong, errors.New("browsers may guess its type"))
	}
	return errors.Join(wrong...)
}

// follows holds an answer to what the document says about its operation.
func (d *document) follows(x *exchange, op *operation) error {
	status := strconv.Itoa(x.status)
	documented, ok := op.Responses[status]
	if !ok {
		return fmt.Errorf("%s does not say that it answers so", op.ID)
	}
	var wrong []error
	for name := range documented.Headers {
		if x.header.Get(name) == "" && name != "Idempotency-Replayed" {
			wrong = append(wrong, fmt.Errorf("%s is missing", name))
		}
	}
	if tag := x.header.Get("ETag"); tag != "" && !regexp.MustCompile(`^"[^"]+"$`).MatchString(tag) {
		wrong = append(wrong, fmt.Errorf("ETag %s is not a strong one", tag))
	}
	switch {
	case len(documented.Content) == 0:
		if len(x.body) > 0 || x.header.Get("Content-Type") != "" {
			wrong = append(wrong, errors.New("it should have no body"))
		}
	case x.method != http.MethodHead:
		media, parameters, err := mime.ParseMediaType(x.header.Get("Content-Type"))
		if _, ok := documented.Content[media]; err != nil || !ok || parameters["charset"] != "" {
			return errors.Join(append(wrong, fmt.Errorf("Content-Type is %q", x.header.Get("Content-Type")))...)
		}
		if media != "application/json" {
			break // a file
		}
		wrong = append(wrong, d.matches(x.body, "paths", op.Path, strings.ToLower(op.Method), "responses", status, "content", media, "schema"), conventions(x.body))
	}
	// What was accepted must be what the document invites to send.
	if x.status < 300 && len(x.sent) > 0 && op.RequestBody != nil {
		if err := d.matches(x.sent, "paths", op.Path, strings.ToLower(op.Method), "requestBody", "content", "application/json", "schema"); err != nil {
			wrong = append(wrong, fmt.Errorf("accepted against the document: %w", err))
		}
	}
	return errors.Join(wrong...)
}

func (d *document) matches(body []byte, pointer ...string) error {
	schema, err := d.schema(pointer...)
	if err != nil {
		return err
	}
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("not JSON: %w", err)
	}
	return schema.Validate(value)
}

var (
	word       = regexp.MustCompile(`^[a-z][a-z0-9]*(_[a-z0-9]+)*$`)
	pointer    = regexp.MustCompile(`^((/([^/~]|~[01])*)*|\?.+|\{.+\}|[A-Z][A-Za-z-]+)$`)
	confession = regexp.MustCompile(`(?i)pq:|sqlstate|postgres|syntax error|\brelation\b|violates|constraint|\bpg_\w+|goroutine|runtime error|\.go:\d+|panic|\bselect\b|\binsert\b|nil pointer|huma|json:`)
)

// isProblem holds a refusal to RFC 9457 and to our own rules for it.
func (d *document) isProblem(x *exchange, op *operation) error {
	if media := x.header.Get("Content-Type"); media != "application/problem+json" {
		return fmt.Errorf("Content-Type of a problem is %q", media)
	}
	wrong := []error{d.matches(x.body, "components", "schemas", "Problem")}
	p := &x.problem
	if err := json.Unmarshal(x.body, p); err != nil {
		return errors.Join(append(wrong, err)...)
	}
	insist := func(ok bool, format string, args ...any) {
		if !ok {
			wrong = append(wrong, fmt.Errorf(format, args...))
		}
	}
	insist(p.Status == x.status, "status is %d", p.Status)
	insist(p.Title == http.StatusText(x.status), "title is %q", p.Title)
	insist(word.MatchString(p.Code), "code is %q", p.Code)
	insist(p.Type == "/problems/"+p.Code, "type is %q", p.Type)
	insist(p.RequestID == x.header.Get("X-Request-Id"), "requestId is %q", p.RequestID)
	insist(len(p.Detail) > 3, "detail is %q", p.Detail)
	insist(p.Instance == x.url.EscapedPath() || p.Instance == "/v1"+x.url.EscapedPath(), "instance is %q", p.Instance)
	if op != nil {
		promised := op.Responses[strconv.Itoa(x.status)].Description
		insist(strings.Contains(promised, "`"+p.Code+"`"), "the code %s is not among those of %s: %s", p.Code, op.ID, promised)
	}
	pointers := map[string]bool{}
	for _, e := range p.Errors {
		insist(pointer.MatchString(e.Pointer), "pointer %q", e.Pointer)
		insist(word.MatchString(e.Code), "code %q of %s", e.Code, e.Pointer)
		insist(len(e.Detail) > 3, "detail %q of %s", e.Detail, e.Pointer)
		insist(!pointers[e.Pointer], "%s twice", e.Pointer)
		pointers[e.Pointer] = true
	}
	query, _ := url.QueryUnescape(x.url.RawQuery)
	asked := strings.ToLower(x.url.Path + " " + query + " " + string(x.sent))
	for _, w := range confession.FindAllString(string(x.body), -1) {
		insist(strings.Contains(asked, strings.ToLower(w)), "it speaks of %q", w)
	}
	insist(x.status != http.StatusUnauthorized || strings.HasPrefix(x.header.Get("WWW-Authenticate"), "Bearer"), "WWW-Authenticate is missing")
	insist(x.status != http.StatusMethodNotAllowed || x.header.Get("Allow") != "", "Allow is missing")
	insist(x.status != http.StatusTooManyRequests || x.header.Get("Retry-After") != "", "Retry-After is missing")
	insist(p.Code != "idempotency_in_flight" || x.header.Get("Retry-After") != "", "Retry-After is missing")
	return errors.Join(wrong...)
}

var (
	camelCase = regexp.MustCompile(`^[a-z][A-Za-z0-9]*$`)
	utc       = regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$`)
	decimals  = map[string]*regexp.Regexp{
		"USD": regexp.MustCompile(`^\d+\.\d\d$`), "EUR": regexp.MustCompile(`^\d+\.\d\d$`),
		"GBP": regexp.MustCompile(`^\d+\.\d\d$`), "JPY": regexp.MustCompile(`^\d+$`),
	}
)

// conventions are what the API promises of all JSON it sends.
func conventions(body []byte) error {
	var tree any
	if err := json.Unmarshal(body, &tree); err != nil {
		return err
	}
	return errors.Join(walk(tree, "")...)
}

func walk(value any, currency string) (wrong []error) {
	switch v := value.(type) {
	case []any:
		for _, item := range v {
			wrong = append(wrong, walk(item, currency)...)
		}
	case map[string]any:
		if c, ok := v["currency"].(string); ok {
			currency = c
		}
		for name, inner := range v {
			if !camelCase.MatchString(name) {
				wrong = append(wrong, fmt.Errorf("%q is not camelCase", name))
			}
			text, _ := inner.(string)
			switch {
			case name == "metadata" || name == "checks": // names that are not ours
				continue
			case strings.HasSuffix(name, "At") && !utc.MatchString(text):
				wrong = append(wrong, fmt.Errorf("%s %v is not a time in UTC", name, inner))
			case name == "id":
				if id, err := uuid.Parse(text); err != nil || id.Version() != 7 {
					wrong = append(wrong, fmt.Errorf("id %v is not a UUIDv7", inner))
				}
			case name == "price" || name == "total":
				if digits := decimals[currency]; digits == nil || !digits.MatchString(text) {
					wrong = append(wrong, fmt.Errorf("%s %v is not a decimal of %q", name, inner, currency))
				}
			}
			wrong = append(wrong, walk(inner, currency)...)
		}
	}
	return wrong
}
