package payments

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/fusioncommerce/fusion/internal/payments/provider"
	"github.com/fusioncommerce/fusion/internal/platform/money"
)

// bank stands in for a provider: it remembers what it was asked, answers a key once, and does
// what it is told to go wrong.
type bank struct {
	mu      sync.Mutex
	charges map[string]*provider.Object // by reference
	keys    map[string]provider.Object
	refused map[string]error
	asked   []string // "charge", "capture", …: calls that did something
	mishap  func(call, key string) mishap
	listed  []provider.Span
	hides   bool // what it has refunded
	behind  bool // its search has not heard of the latest charges

	stubborn bool // it refuses all refunds
}

// mishap is what goes wrong with a call.
type mishap int

const (
	none    mishap = iota
	deaf           // it never hears
	mute           // it hears, and its answer is lost
	hanging        // it hears, and answers when nobody waits any more
	barred         // it does not know who calls
)

var errLine = errors.New("the line is dead")

func newBank() *bank {
	return &bank{charges: map[string]*provider.Object{}, keys: map[string]provider.Object{}, refused: map[string]error{}}
}

func (*bank) Name() string { return "bank" }

// answer runs a call once for its key.
func (b *bank) answer(ctx context.Context, call, key string, do func() (*provider.Object, error)) (provider.Object, error) {
	b.mu.Lock()
	wrong := none
	if b.mishap != nil {
		wrong = b.mishap(call, key)
	}
	if wrong == deaf {
		b.mu.Unlock()
		return provider.Object{}, fmt.Errorf("%w: %w", provider.ErrUnknownOutcome, errLine)
	}
	if wrong == barred {
		b.mu.Unlock()
		return provider.Object{}, provider.ErrKeyRefused
	}
	out, known := b.keys[key]
	err := b.refused[key]
	if !known && err == nil {
		var o *provider.Object
		if o, err = do(); err == nil {
			out = copied(o)
			b.keys[key], b.asked = out, append(b.asked, call)
		} else {
			b.refused[key] = err
		}
	}
	b.mu.Unlock()
	switch wrong {
	case mute:
		return provider.Object{}, fmt.Errorf("%w: %w", provider.ErrUnknownOutcome, errLine)
	case hanging:
		<-ctx.Done()
		return provider.Object{}, fmt.Errorf("%w: %w", provider.ErrUnknownOutcome, ctx.Err())
	case none, deaf, barred:
	}
	if b.hides {
		out.Refunds = nil
	}
	return out, err
}

func copied(o *provider.Object) provider.Object {
	c := *o
	c.Refunds, c.Disputes = append([]provider.RefundObject(nil), o.Refunds...), append([]provider.DisputeObject(nil), o.Disputes...)
	return c
}

func (b *bank) Charge(ctx context.Context, _ provider.Account, key string, c provider.Charge) (provider.Object, error) {
	return b.answer(ctx, "charge", key, func() (*provider.Object, error) {
		o := &provider.Object{Reference: "ch_" + uuid.NewString(), Attempt: c.Attempt, ClientSecret: "cs_" + c.Attempt, Amount: c.Amount}
		o.Authorized, o.Captured, o.Fee = zero(c.Amount), zero(c.Amount), zero(c.Amount)
		switch {
		case c.Method == "no":
			return nil, &provider.Declined{Code: "insufficient_funds", Message: "Not enough."}
		case c.Method == "":
			o.Phase = provider.NeedsMethod
		case c.Method == "3ds":
			o.Phase, o.NextAction = provider.NeedsAction, "https://bank.example/3ds"
		case c.Method == "slow":
			o.Phase = provider.Processing
		case c.Manual:
			o.Phase, o.Authorized = provider.Authorized, c.Amount
		default:
			o.Phase, o.Captured = provider.Succeeded, c.Amount
			o.Fee.Minor = c.Amount.Minor / 50
		}
		b.charges[o.Reference] = o
		return o, nil
	})
}

func zero(m money.Amount) money.Amount { return money.Amount{Currency: m.Currency} }

func (b *bank) Capture(ctx context.Context, _ provider.Account, key, reference string, amount money.Amount) (provider.Object, error) {
	return b.answer(ctx, "capture", key, func() (*provider.Object, error) {
		o := b.charges[reference]
		if o == nil || o.Phase != provider.Authorized || amount.Minor > o.Authorized.Minor {
			return nil, &provider.Declined{Code: "not_capturable"}
		}
		o.Phase, o.Captured, o.Authorized = provider.Succeeded, amount, zero(amount)
		return o, nil
	})
}

func (b *bank) Cancel(ctx context.Context, _ provider.Account, key, reference string) (provider.Object, error) {
	return b.answer(ctx, "cancel", key, func() (*provider.Object, error) {
		o := b.charges[reference]
		if o == nil || o.Captured.Minor > 0 {
			return nil, &provider.Declined{Code: "already_captured"}
		}
		o.Phase, o.Authorized = provider.Cancelled, zero(o.Amount)
		return o, nil
	})
}

func (b *bank) Refund(ctx context.Context, _ provider.Account, key, reference string, amount money.Amount, reason string) (provider.Object, error) {
	return b.answer(ctx, "refund", key, func() (*provider.Object, error) {
		o := b.charges[reference]
		left := int64(0)
		if o != nil {
			left = o.Captured.Minor
			for _, r := range o.Refunds {
				left -= r.Amount.Minor
			}
		}
		if b.stubborn || reason == "refused" || amount.Minor > left {
			return nil, &provider.Declined{Code: "charge_disputed", Message: "Not this one."}
		}
		o.Refunds = append(o.Refunds, provider.RefundObject{Reference: "re_" + uuid.NewString(), Key: key, Amount: amount, Status: "succeeded"})
		return o, nil
	})
}

func (b *bank) Fetch(ctx context.Context, _ provider.Account, reference string) (provider.Object, error) {
	return b.look(ctx, func(o *provider.Object) bool { return o.Reference == reference })
}

func (b *bank) Find(ctx context.Context, _ provider.Account, attempt string, _ provider.Span) (provider.Object, error) {
	return b.look(ctx, func(o *provider.Object) bool { return o.Attempt == attempt })
}

func (b *bank) look(_ context.Context, is func(*provider.Object) bool) (provider.Object, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.mishap != nil && b.mishap("look", "") != none {
		return provider.Object{}, fmt.Errorf("%w: %w", provider.ErrUnknownOutcome, errLine)
	}
	for _, o := range b.charges {
		if is(o) && !b.behind {
			c := copied(o)
			if b.hides {
				c.Refunds = nil
			}
			return c, nil
		}
	}
	return provider.Object{}, provider.ErrNoCharge
}

// Changed tells of all charges in each time.
func (b *bank) Changed(_ context.Context, _ provider.Account, in provider.Span, each func(reference string, o provider.Object, err error) error) error {
	b.mu.Lock()
	if b.mishap != nil && b.mishap("list", "") != none {
		b.mu.Unlock()
		return errLine
	}
	b.listed = append(b.listed, in)
	var all []provider.Object
	for _, o := range b.charges {
		all = append(all, copied(o))
	}
	b.mu.Unlock()
	for _, o := range all {
		var err error
		if o.Phase == "nonsense" {
			err = errLine
		}
		if err := each(o.Reference, o, err); err != nil {
			return err
		}
	}
	return nil
}

// does has the bank, or the buyer at it, do something of its own accord.
func (b *bank) does(reference string, what func(*provider.Object)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	what(b.charges[reference])
}

// forgets the keys that it was asked with, as all do after a day.
func (b *bank) forgets() {
	b.mu.Lock()
	defer b.mu.Unlock()
	clear(b.keys)
	clear(b.refused)
}

// wrong says what goes wrong from now on.
func (b *bank) wrong(mishap func(call, key string) mishap) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.mishap = mishap
}

// took is how much the bank has taken and not given back, and how many charges took anything.
func (b *bank) took() (minor int64, charges int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, o := range b.charges {
		if o.Captured.Minor > 0 {
			charges++
		}
		minor += o.Captured.Minor
		for _, r := range o.Refunds {
			minor -= r.Amount.Minor
		}
	}
	return minor, charges
}

// takenFor is how many charges have taken money for each attempt's order.
func (b *bank) references() (list []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for r := range b.charges {
		list = append(list, r)
	}
	return list
}

// sign signs a webhook as the bank does: time, point, HMAC of both and the body.
func sign(secret string, at time.Time, body []byte) string {
	stamp := strconv.FormatInt(at.Unix(), 10)
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write(append([]byte(stamp+"."), body...))
	return stamp + "." + hex.EncodeToString(mac.Sum(nil))
}

const tolerance = 300 * time.Second

func (*bank) Notice(a provider.Account, header http.Header, body []byte, now time.Time) (n provider.Notice, err error) {
	sent := header.Get("Bank-Signature")
	var stamp int64
	if _, err := fmt.Sscanf(sent, "%d.", &stamp); err != nil || now.Sub(time.Unix(stamp, 0)).Abs() > tolerance {
		return n, provider.ErrSignature
	}
	for _, secret := range a.WebhookSecrets {
		if hmac.Equal([]byte(sign(secret, time.Unix(stamp, 0), body)), []byte(sent)) {
			err := json.Unmarshal(body, &n)
			return n, err
		}
	}
	return n, provider.ErrSignature
}
