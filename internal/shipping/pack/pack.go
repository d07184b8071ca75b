// Package pack puts what is sent into boxes: first fit, the largest first, each turned as it
// fits best. The same things in the same boxes always end up the same way, in whatever order
// they are named.
package pack

import (
	"cmp"
	"slices"
)

// Sides in mm. All 0: not known, and taken to fit everywhere.
type Sides struct{ Length, Width, Height int64 }

func (s Sides) known() bool   { return s.Length > 0 && s.Width > 0 && s.Height > 0 }
func (s Sides) volume() int64 { return s.Length * s.Width * s.Height }

// sorted are the sides, the longest first.
func (s Sides) sorted() Sides {
	list := []int64{s.Length, s.Width, s.Height}
	slices.Sort(list)
	return Sides{list[2], list[1], list[0]}
}

// Within tells whether something of these sides fits into some of others, turned as need be.
func (s Sides) Within(o Sides) bool {
	if !s.known() || !o.known() {
		return true
	}
	s, o = s.sorted(), o.sorted()
	return s.Length <= o.Length && s.Width <= o.Width && s.Height <= o.Height
}

// Box that a shop sends in.
type Box struct {
	Name  string
	Sides       // inside
	Own   int64 // grams, empty
	Most  int64 // grams with what is in it; 0: whatever it weighs
}

// Item is a quantity of one thing.
type Item struct {
	SKU      string
	Quantity int64
	Grams    int64 // of one
	Sides          // of one
}

// Limit is what a parcel may be at most; what is 0 is not limited.
type Limit struct {
	Grams int64
	Sides
}

// Excess is what keeps a parcel from being within its limit.
type Excess string

// Why a parcel is beyond its limit.
const (
	Within   Excess = ""
	TooHeavy Excess = "parcel_too_heavy"
	TooLarge Excess = "parcel_too_large"
)

// Parcel is a number of parcels that are alike.
type Parcel struct {
	Count int64
	Box   string // empty: as it is
	Grams int64  // of each, with its box
	Sides        // of each: its box's, or its own; 0: not known
	Items []Content
	// Oversize is something that fits into none of the shop's boxes: it goes alone, as it is.
	Oversize bool
	Excess   Excess

	layout []block
}

// Content is how much of something is in each of the parcels.
type Content struct {
	SKU      string
	Quantity int64
}

// Pack puts items into boxes, each of them into exactly one. Without boxes they go together
// as far as they may weigh.
func Pack(items []Item, boxes []Box, limit Limit) []Parcel {
	p := packer{all: boxes, limit: limit}
	if len(boxes) == 0 {
		p.usable = []Box{{Most: limit.Grams}}
	}
	for _, b := range boxes {
		if limit.known() && !b.Within(limit.Sides) {
			continue
		}
		if limit.Grams > 0 && (b.Most == 0 || b.Most > limit.Grams) {
			b.Most = limit.Grams
		}
		p.usable = append(p.usable, b)
	}
	for _, it := range kinds(items) {
		p.put(it)
	}
	parcels := make([]Parcel, len(p.bins))
	for i, b := range p.bins {
		parcels[i] = p.smallest(b).parcel()
	}
	return parcels
}

// kinds are the items, the largest first; what is alike is counted together.
func kinds(items []Item) []Item {
	items = slices.DeleteFunc(slices.Clone(items), func(i Item) bool { return i.Quantity <= 0 })
	slices.SortFunc(items, func(a, b Item) int {
		return cmp.Or(-cmp.Compare(a.volume(), b.volume()), -cmp.Compare(a.Grams, b.Grams), -cmp.Compare(a.sorted().Length, b.sorted().Length),
			cmp.Compare(a.SKU, b.SKU), cmp.Compare(a.Length, b.Length), cmp.Compare(a.Width, b.Width))
	})
	var list []Item
	for _, it := range items {
		if last := len(list) - 1; last >= 0 && list[last].SKU == it.SKU && list[last].Grams == it.Grams && list[last].Sides == it.Sides {
			list[last].Quantity += it.Quantity
			continue
		}
		list = append(list, it)
	}
	return list
}

type packer struct {
	all, usable []Box
	limit       Limit
	bins        []bin
}

// put finds a place for all of a kind: where there is room, else in boxes of their own.
func (p *packer) put(it Item) {
	left := it.Quantity
	if len(p.all) == 0 && !it.Within(p.limit.Sides) {
		p.bins = append(p.bins, p.alone(it, left))
		return
	}
	for i := 0; i < len(p.bins) && left > 0; i++ {
		filled, n := p.bins[i].add(it, left)
		if n == 0 {
			continue
		}
		filled.count = min(filled.count, left/n)
		if rest := p.bins[i]; rest.count > filled.count { // the others are as they were
			rest.count -= filled.count
			p.bins = slices.Insert(p.bins, i+1, rest)
		}
		p.bins[i] = filled
		left -= n * filled.count
	}
	for left > 0 {
		filled, n := p.open(it, left)
		if n == 0 {
			p.bins = append(p.bins, p.alone(it, left))
			return
		}
		filled.count = left / n
		p.bins = append(p.bins, filled)
		left -= n * filled.count
	}
}

// open is the box that takes the most of a kind. Of those that take the same it is the largest,
// so that others find room in it as well.
func (p *packer) open(it Item, left int64) (best bin, most int64) {
	for _, b := range p.usable {
		filled, n := empty(b).add(it, left)
		if n > most || n == most && n > 0 && b.volume() > best.box.volume() {
			best, most = filled, n
		}
	}
	return best, most
}

// alone are parcels of one each that no box takes.
func (p *packer) alone(it Item, count int64) bin {
	b := bin{count: count, grams: it.Grams, closed: true, contents: []Item{it}, box: Box{Sides: it.Sides}}
	b.contents[0].Quantity = 1
	b.oversize = !slices.ContainsFunc(p.all, func(box Box) bool {
		_, n := empty(box).add(it, 1)
		return n > 0
	})
	switch {
	case p.limit.Grams > 0 && it.Grams > p.limit.Grams:
		b.excess = TooHeavy
	case !it.Within(p.limit.Sides):
		b.excess = TooLarge
	case !b.oversize: // by itself it is not too much, but with any box that it fits into
		b.excess = p.boxed(it)
	}
	return b
}

// boxed is why no box that takes one of a kind may go.
func (p *packer) boxed(it Item) Excess {
	for _, b := range p.usable {
		b.Most = 0
		if _, n := empty(b).add(it, 1); n > 0 {
			return TooHeavy
		}
	}
	return TooLarge
}

// smallest moves what is in a box into the smallest one that holds it.
func (p *packer) smallest(full bin) bin {
	if full.closed {
		return full
	}
	best := full
	for _, b := range p.usable {
		if c := cmp.Or(cmp.Compare(b.volume(), best.box.volume()), cmp.Compare(b.Own, best.box.Own)); c >= 0 {
			continue
		}
		if moved, ok := empty(b).addAll(full.contents); ok {
			moved.count = full.count
			best = moved
		}
	}
	return best
}
