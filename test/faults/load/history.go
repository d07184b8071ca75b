package load

import (
	"bufio"
	"encoding/json"
	"maps"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Kind of an entry: Jepsen's words. What is unknown may have happened once or not at
// all; what is ok must have happened exactly once.
type Kind string

// The kinds.
const (
	Invoke Kind = "invoke"
	OK     Kind = "ok"
	Fail   Kind = "fail"
	Info   Kind = "info"
)

// Entry is one line of the history.
type Entry struct {
	At       float64 `json:"at"` // seconds since the history began
	Client   int     `json:"client"`
	Op       string  `json:"op"`
	Kind     Kind    `json:"kind"`
	Status   int     `json:"status,omitempty"`
	Replayed bool    `json:"replayed,omitempty"`
	Note     string  `json:"note,omitempty"`
}

const inFlight = "409 idempotency_in_flight"

// History is what customers asked and heard.
type History struct {
	began time.Time

	mu       sync.Mutex
	entries  []Entry
	asked    map[string]bool
	counts   map[Kind]int
	unknown  map[string]int // by reason
	replayed int
}

// NewHistory begins now.
func NewHistory() *History {
	return &History{began: time.Now(), asked: map[string]bool{}, counts: map[Kind]int{}, unknown: map[string]int{}}
}

func (h *History) add(client int, r Request, k Kind, status int, note string) {
	h.append(Entry{Client: client, Op: r.name(), Kind: k, Status: status, Note: note}, r)
}

func (h *History) done(client int, r Request, k Kind, a Answer) {
	e := Entry{Client: client, Op: r.name(), Kind: k, Status: a.Status, Replayed: a.Replayed}
	if k == Fail {
		e.Note = a.Code()
	}
	h.append(e, r)
}

func (h *History) append(e Entry, r Request) {
	h.mu.Lock()
	defer h.mu.Unlock()
	e.At = time.Since(h.began).Seconds()
	h.entries = append(h.entries, e)
	h.counts[e.Kind]++
	if e.Kind == Info {
		h.unknown[e.Note]++
	}
	if e.Replayed {
		h.replayed++
	}
	if e.Kind == Invoke && r.Key != "" {
		h.asked[r.Key] = true
	}
}

// Asks notes a request that is sent by other hands.
func (h *History) Asks(r Request) { h.add(-1, r, Invoke, 0, "") }

// Note adds an entry about the shop itself: a fault, a restart.
func (h *History) Note(text string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.entries = append(h.entries, Entry{At: time.Since(h.began).Seconds(), Client: -1, Op: "shop", Kind: Info, Note: text})
}

// Count of the entries of a kind.
func (h *History) Count(k Kind) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.counts[k]
}

// Replays is how many answers were given again.
func (h *History) Replays() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.replayed
}

// Keys that were asked with.
func (h *History) Keys() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Sorted(maps.Keys(h.asked))
}

// Broken counts the answers that no fault excuses: a 500 is a bug, whatever happens.
func (h *History) Broken() map[string]int {
	h.mu.Lock()
	defer h.mu.Unlock()
	broken := map[string]int{}
	for why, n := range h.unknown {
		if strings.HasPrefix(why, strconv.Itoa(http.StatusInternalServerError)) {
			broken[why] = n
		}
	}
	return broken
}

// Unanswered counts, by reason, what was asked again for any other reason than that the
// first try was still running.
func (h *History) Unanswered() map[string]int {
	h.mu.Lock()
	defer h.mu.Unlock()
	reasons := maps.Clone(h.unknown)
	delete(reasons, inFlight)
	return reasons
}

// Unknown tells how often an outcome was unknown, by reason: "connection ×12, 503 … ×3".
func (h *History) Unknown() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.unknown) == 0 {
		return "none"
	}
	var parts []string
	for _, why := range slices.Sorted(maps.Keys(h.unknown)) {
		parts = append(parts, why+" ×"+strconv.Itoa(h.unknown[why]))
	}
	return strings.Join(parts, ", ")
}

// Write saves the history, one JSON object a line.
func (h *History) Write(path string) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }()
	w := bufio.NewWriter(file)
	enc := json.NewEncoder(w)
	for _, e := range h.entries {
		if err := enc.Encode(e); err != nil {
			return err
		}
	}
	if err := w.Flush(); err != nil {
		return err
	}
	return file.Close()
}
