package token

// What specs need to know of the memory.
const (
	Freshness = freshness
	Pace      = pace
)

// Loads is how often it has asked for the keys.
func (t *Tokens) Loads() int {
	t.ring.mu.Lock()
	defer t.ring.mu.Unlock()
	return t.ring.begun
}
