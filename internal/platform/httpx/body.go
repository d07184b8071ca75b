package httpx

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"math"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/danielgtaylor/huma/v2"
	"golang.org/x/text/unicode/norm"

	"github.com/fusioncommerce/fusion/internal/platform/fault"
)

const (
	maxBody  = 256<<10 + 1 // Huma refuses at the limit, we accept 256 KiB
	maxDepth = 64
	maxNames = 10_000 // of all objects of a body together
	maxItems = 10_000 // of all arrays of a body together
)

// JSON is a request body. Embed it in the input struct of a route.
type JSON[T any] struct{ Body T }

// Checker is a body with rules that its schema cannot say. Check is called whether
// or not the schema holds, so that a caller hears of everything at once; it looks
// only at what is there.
type Checker interface{ Check() []fault.Field }

// Asker is a body with rules that depend on who asks, such as what their shop has enabled.
// CheckFor is called beside Check.
type Asker interface {
	CheckFor(ctx context.Context) []fault.Field
}

// Resolve lets Huma collect what Check and CheckFor find.
func (j *JSON[T]) Resolve(hc huma.Context) []error {
	var fields []fault.Field
	if c, ok := any(&j.Body).(Checker); ok {
		fields = c.Check()
	}
	if c, ok := any(&j.Body).(Asker); ok {
		fields = append(fields, c.CheckFor(hc.Context())...)
	}
	var errs []error
	for _, f := range fields {
		errs = append(errs, &fieldError{f})
	}
	return errs
}

// Line refuses text that shows as nothing or takes more than a line.
func Line(pointer, text string) []fault.Field {
	shows := func(r rune) bool { return unicode.IsGraphic(r) && !unicode.IsSpace(r) }
	breaks := func(r rune) bool { return unicode.IsControl(r) || unicode.In(r, unicode.Zl, unicode.Zp) }
	switch {
	case strings.ContainsFunc(text, breaks):
		return []fault.Field{{Pointer: pointer, Code: "invalid_text", Detail: "must be one line without control characters"}}
	case text != "" && !strings.ContainsFunc(text, shows):
		return []fault.Field{{Pointer: pointer, Code: "required", Detail: "must not be blank"}}
	}
	return nil
}

// Reference refuses what no record can be found by again: a caller's own id with blanks around
// it, or with control characters.
func Reference(pointer, text string) []fault.Field {
	if strings.TrimSpace(text) == text && !strings.ContainsFunc(text, unicode.IsControl) {
		return nil
	}
	return []fault.Field{{Pointer: pointer, Code: "pattern", Detail: "must not begin or end with blanks or hold control characters"}}
}

// unreadable separates the code from the sentence in an error that has to travel
// through Huma as text.
const unreadable = "\x00"

var unreadableFaults = map[string]*fault.Error{
	"malformed_json": errMalformed, "invalid_text": errText, "card_data_not_accepted": errCardData, "secret_not_accepted": errSecret,
}

var errCardData = fault.New(fault.Invalid, "card_data_not_accepted", "The request holds a card number. Never send one: it is not stored here.")

var errSecret = fault.New(fault.Invalid, "secret_not_accepted", "The request holds an API key or a token where none belongs. It would be kept and shown: end it, and make a new one.")

func cannotRead(f *fault.Error, format string, args ...any) error {
	return errors.New(f.Code + unreadable + f.Saying(format, args...).Detail)
}

// jsonFormat reads bodies strictly. Huma reads twice: first into any, to validate,
// then into the struct.
var jsonFormat = huma.Format{
	Marshal: func(w io.Writer, v any) error {
		body, err := Marshal(v)
		if err != nil {
			return err
		}
		_, err = w.Write(body)
		return err
	},
	Unmarshal: func(data []byte, v any) error {
		if tree, ok := v.(*any); ok {
			var err error
			*tree, err = readTree(data)
			return err
		}
		if err := json.Unmarshal(data, v); err != nil {
			if te, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
				return errors.New(typeMessage(te))
			}
			return errors.New("unreadable")
		}
		return nil
	},
}

// typeMessage is how Huma would have put it.
func typeMessage(te *json.UnmarshalTypeError) string {
	switch te.Type.Kind() {
	case reflect.Int, reflect.Int16, reflect.Int32, reflect.Int64:
		return "expected integer"
	case reflect.String:
		return "expected string"
	default:
		return "unreadable"
	}
}

// readTree decodes JSON as RFC 8259 advises and encoding/json does not insist on:
// no duplicate names (nor ones that differ in case only), one document, valid UTF-8,
// no NUL, a bounded depth. Numbers that an int64 or a plain decimal cannot hold come
// out as json.Number, which no schema of ours accepts.
func readTree(data []byte) (any, error) {
	if !utf8.Valid(data) {
		return nil, cannotRead(errText, "The body is not valid UTF-8.")
	}
	if loneSurrogate(data) {
		return nil, cannotRead(errText, `The body holds half of a surrogate pair (\ud800 to \udfff).`)
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	r := treeReader{dec: dec}
	tree, err := r.value(0, "")
	if err != nil {
		return nil, err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, cannotRead(errMalformed, "Something follows the JSON document.")
	}
	return tree, nil
}

// null is no value of any type. Huma would take nil for a field that is not there, and a
// caller who means to empty a field would not hear that nothing happened.
type null struct{}

type treeReader struct {
	dec   *json.Decoder
	names int
	items int
}

func (r *treeReader) value(depth int, name string) (any, error) {
	t, err := r.dec.Token()
	if err != nil {
		return nil, cannotRead(errMalformed, "The body is not valid JSON (at byte %d).", r.dec.InputOffset())
	}
	switch t := t.(type) {
	case json.Delim:
		if depth == maxDepth {
			return nil, cannotRead(errMalformed, "The body is nested deeper than %d levels.", maxDepth)
		}
		if t == '{' {
			return r.object(depth)
		}
		return r.array(depth)
	case string:
		if isCredential := depth == 1 && credentialFields[name]; !isCredential && credentialText.MatchString(t) {
			return nil, cannotRead(errSecret, "%s", errSecret.Detail)
		}
		return t, checkText(t)
	case json.Number:
		if holdsCardNumber(t.String()) {
			return nil, cannotRead(errCardData, "%s", errCardData.Detail)
		}
		return number(t), nil
	case nil:
		return null{}, nil
	default:
		return t, nil
	}
}

func (r *treeReader) object(depth int) (any, error) {
	object, folded := map[string]any{}, map[string]bool{}
	for r.dec.More() {
		t, err := r.dec.Token()
		name, ok := t.(string)
		if err != nil || !ok {
			return nil, cannotRead(errMalformed, "The body is not valid JSON (at byte %d).", r.dec.InputOffset())
		}
		if r.names++; r.names > maxNames {
			return nil, cannotRead(errMalformed, "The body has more than %d fields.", maxNames)
		}
		if err := checkText(name); err != nil {
			return nil, err
		}
		if credentialText.MatchString(name) {
			return nil, cannotRead(errSecret, "%s", errSecret.Detail)
		}
		if fold := strings.ToLower(name); folded[fold] {
			return nil, cannotRead(errMalformed, "The field %q stands twice in one object.", name)
		} else {
			folded[fold] = true
		}
		if object[disguise.Replace(name)], err = r.value(depth+1, name); err != nil {
			return nil, err
		}
	}
	return object, r.close()
}

func (r *treeReader) array(depth int) (any, error) {
	list := []any{}
	for r.dec.More() {
		if r.items++; r.items > maxItems {
			return nil, cannotRead(errMalformed, "The lists of the body have more than %d items.", maxItems)
		}
		v, err := r.value(depth+1, "")
		if err != nil {
			return nil, err
		}
		list = append(list, v)
	}
	return list, r.close()
}

func (r *treeReader) close() error {
	if _, err := r.dec.Token(); err != nil {
		return cannotRead(errMalformed, "The body is not valid JSON (at byte %d).", r.dec.InputOffset())
	}
	return nil
}

func checkText(s string) error {
	if strings.ContainsRune(s, 0) {
		return cannotRead(errText, "Some text holds a NUL character.")
	}
	if holdsCardNumber(s) {
		return cannotRead(errCardData, "%s", errCardData.Detail)
	}
	return nil
}

// number keeps plain numbers for validation. The exact text is what the struct gets.
func number(n json.Number) any {
	s := n.String()
	if strings.ContainsAny(s, "eE") {
		return n
	}
	if !strings.Contains(s, ".") {
		if _, err := strconv.ParseInt(s, 10, 64); err != nil {
			return n
		}
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil {
		return n
	}
	if strings.Contains(s, ".") && f == math.Trunc(f) {
		return math.Nextafter(f, math.Inf(1)) // 1.0 is not how a whole number is written
	}
	return f
}

// loneSurrogate finds \ud800..\udfff escapes that are not a pair: encoding/json
// would replace them in silence.
func loneSurrogate(data []byte) bool {
	for i := 0; i+1 < len(data); i++ {
		if data[i] != '\\' {
			continue
		}
		if data[i+1] != 'u' {
			i++ // the escaped character, which may be a backslash
			continue
		}
		hi, ok := hex4(data, i+2)
		if !ok || hi < 0xd800 || hi > 0xdfff {
			i += 5
			continue
		}
		lo, ok := hex4(data, i+8)
		if hi > 0xdbff || !ok || data[i+6] != '\\' || data[i+7] != 'u' || lo < 0xdc00 || lo > 0xdfff {
			return true
		}
		i += 11
	}
	return false
}

func hex4(data []byte, at int) (uint64, bool) {
	if at+4 > len(data) {
		return 0, false
	}
	n, err := strconv.ParseUint(string(data[at:at+4]), 16, 32)
	return n, err == nil
}

// cardRanges are the issuer ranges and lengths of the card schemes (ISO/IEC 7812),
// as prefix from, prefix to and the lengths. 13 digits are left out: they are
// European Article Numbers today.
var cardRanges = []struct {
	from, to, prefix int
	lengths          []int
}{
	{4, 4, 1, []int{16, 19}},
	{51, 55, 2, []int{16}},
	{2221, 2720, 4, []int{16}},
	{34, 34, 2, []int{15}},
	{37, 37, 2, []int{15}},
	{6011, 6011, 4, []int{16, 19}},
	{644, 659, 3, []int{16, 19}},
	{3528, 3589, 4, []int{16}},
	{62, 62, 2, []int{16, 19}},
	{300, 305, 3, []int{14, 16}},
	{36, 36, 2, []int{14, 16}},
	{38, 39, 2, []int{14, 16}},
}

// What surrounds the digits of a card number decides little: people write dates, codes
// and amounts beside it. An id is no card number, whatever its digits.
var (
	idText    = regexp.MustCompile(`[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}`)
	digitRuns = regexp.MustCompile(`[0-9]+(?:[ -]{1,2}[0-9]+)*`)
	// dottedRuns are digits between which there is what also stands in dates and amounts. They
	// are a card's only in the groups of one.
	dottedRuns = regexp.MustCompile(`[0-9]+(?:[ ._/-]{1,2}[0-9]+)*`)
	// cardGroups are the groups in which card numbers are printed.
	cardGroups = [][]int{{4, 4, 4, 4}, {4, 4, 4, 4, 3}, {4, 6, 5}, {4, 6, 4}}
)

// holdsCardNumber looks for digits, perhaps in groups, that a card scheme could have issued.
func holdsCardNumber(s string) bool {
	if len(s) < 14 {
		return false
	}
	s = inASCII(s)
	if strings.IndexFunc(s, unicode.IsDigit) < 0 {
		return false
	}
	s = idText.ReplaceAllString(s, "|")
	return holdsCardIn(s, digitRuns, true) || holdsCardIn(s, dottedRuns, false)
}

// inASCII writes digits, blanks and hyphens as they look: people paste what a page made of them.
func inASCII(s string) string {
	if strings.IndexFunc(s, func(r rune) bool { return r > unicode.MaxASCII }) < 0 {
		return s
	}
	return strings.Map(func(r rune) rune {
		switch {
		case unicode.Is(unicode.Cf, r): // that nobody sees
			return -1
		case unicode.Is(unicode.Zs, r):
			return ' '
		case unicode.Is(unicode.Pd, r):
			return '-'
		}
		return r
	}, norm.NFKC.String(s))
}

// holdsCardIn looks at runs of digits; however they are grouped, or in the groups of a card only.
func holdsCardIn(s string, runs *regexp.Regexp, however bool) bool {
	for _, at := range runs.FindAllStringIndex(s, -1) {
		groups := strings.FieldsFunc(s[at[0]:at[1]], func(r rune) bool { return r < '0' || r > '9' })
		if however && isCardNumber(strings.Join(groups, "")) {
			return true
		}
		// Two letters and two digits begin an IBAN, whose groups are of four as well.
		if iban := len(groups[0]) == 2 && at[0] > 1 && unicode.IsLetter(rune(s[at[0]-1])); iban {
			continue
		}
		for i := range groups {
			if isCardNumber(groups[i]) || slices.ContainsFunc(cardGroups, func(lengths []int) bool { return isPrintedCard(groups[i:], lengths) }) {
				return true
			}
		}
	}
	return false
}

func isPrintedCard(groups []string, lengths []int) bool {
	if len(groups) < len(lengths) {
		return false
	}
	for i, n := range lengths {
		if len(groups[i]) != n {
			return false
		}
	}
	return isCardNumber(strings.Join(groups[:len(lengths)], ""))
}

func isCardNumber(digits string) bool {
	if len(digits) < 14 || len(digits) > 19 || !luhn(digits) {
		return false
	}
	for _, r := range cardRanges {
		prefix, err := strconv.Atoi(digits[:r.prefix])
		if err != nil || prefix < r.from || prefix > r.to {
			continue
		}
		if slices.Contains(r.lengths, len(digits)) {
			return true
		}
	}
	return false
}

func luhn(digits string) bool {
	sum := 0
	for i := range digits {
		d := int(digits[len(digits)-1-i] - '0')
		if i%2 == 1 {
			if d *= 2; d > 9 {
				d -= 9
			}
		}
		sum += d
	}
	return sum%10 == 0
}
