package tenant

import (
	"fmt"

	"github.com/google/uuid"
)

// What specs need to know of the memory.
const (
	Freshness  = freshness
	Early      = early
	Remembered = remembered
	Settle     = settle
)

// Take stores a tenant as another deployment shows it.
var Take = take

// Hosts are how many names of tenants it remembers, and how many that are nobody's.
func (d *Directory) Hosts() (known, strange int) {
	d.hosts.mu.Lock()
	defer d.hosts.mu.Unlock()
	d.strangers.mu.Lock()
	defer d.strangers.mu.Unlock()
	return len(d.hosts.known), len(d.strangers.known)
}

// Invent makes it remember so many names that are nobody's.
func (d *Directory) Invent(n int) {
	d.strangers.mu.Lock()
	defer d.strangers.mu.Unlock()
	for i := range n {
		d.strangers.known[fmt.Sprintf("%d.nobody.example", i)] = &entry[uuid.UUID]{at: d.now()}
	}
}
