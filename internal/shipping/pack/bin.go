package pack

import (
	"cmp"
	"slices"
)

// bin is a box, or some that are alike, with what is in it so far.
type bin struct {
	box      Box
	count    int64
	grams    int64
	contents []Item
	spaces   []space // that are left, the smallest first
	layout   []block
	closed   bool
	oversize bool
	excess   Excess
}

// space is an empty part of a box, from its corner that is nearest to the box's.
type space struct {
	x, y, z int64
	Sides
}

// block is where some of a kind lie that were put in together, in rows of nx, ny and nz.
type block struct {
	space      // of one
	nx, ny, nz int64
}

func empty(b Box) bin {
	return bin{box: b, count: 1, grams: b.Own, spaces: []space{{Sides: b.Sides}}}
}

// add is the bin with as many of a kind in it as go in, up to a number. The bin itself stays as
// it is.
func (b bin) add(it Item, most int64) (filled bin, n int64) {
	if b.closed {
		return b, 0
	}
	room := most
	if b.box.Most > 0 && it.Grams > 0 {
		room = min(room, max(b.box.Most-b.grams, 0)/it.Grams)
	}
	if b.box.Most > 0 && b.grams > b.box.Most {
		return b, 0
	}
	if it.known() && b.box.known() {
		if room == 0 || !b.takes(it.Sides) {
			return b, 0
		}
		b.spaces, b.layout = slices.Clone(b.spaces), slices.Clone(b.layout)
		for n < room {
			placed := b.place(it.Sides, room-n)
			if placed == 0 {
				break
			}
			n += placed
		}
	} else {
		n = room
	}
	if n == 0 {
		return b, 0
	}
	b.grams += n * it.Grams
	it.Quantity = n
	b.contents = append(slices.Clip(b.contents), it)
	return b, n
}

// takes tells whether there is room for one.
func (b bin) takes(of Sides) bool {
	from, _ := slices.BinarySearchFunc(b.spaces, of.volume(), func(s space, v int64) int { return cmp.Compare(s.volume(), v) })
	return slices.ContainsFunc(b.spaces[from:], func(s space) bool { return of.Within(s.Sides) })
}

// addAll is the bin with all of that in it; ok is false when it does not go in.
func (b bin) addAll(items []Item) (filled bin, ok bool) {
	for _, it := range items {
		var n int64
		if b, n = b.add(it, it.Quantity); n < it.Quantity {
			return b, false
		}
	}
	return b, true
}

// place puts a block of things into the smallest space that takes one, turned so that it takes
// the most, and cuts what is left of the space into three.
func (b *bin) place(of Sides, most int64) int64 {
	from, _ := slices.BinarySearchFunc(b.spaces, of.volume(), func(s space, v int64) int { return cmp.Compare(s.volume(), v) })
	for i := from; i < len(b.spaces); i++ {
		s := b.spaces[i]
		turned, n := best(of, s.Sides, most)
		if n == 0 {
			continue
		}
		bl := block{space: space{s.x, s.y, s.z, turned}}
		bl.nx = min(s.Length/turned.Length, n)
		bl.ny = min(s.Width/turned.Width, n/bl.nx)
		bl.nz = min(s.Height/turned.Height, n/(bl.nx*bl.ny))
		l, w, h := bl.nx*turned.Length, bl.ny*turned.Width, bl.nz*turned.Height
		b.spaces = slices.Delete(b.spaces, i, i+1)
		for _, rest := range []space{
			{s.x + l, s.y, s.z, Sides{s.Length - l, s.Width, s.Height}},
			{s.x, s.y + w, s.z, Sides{l, s.Width - w, s.Height}},
			{s.x, s.y, s.z + h, Sides{l, w, s.Height - h}},
		} {
			if rest.known() {
				b.keep(rest)
			}
		}
		b.layout = append(b.layout, bl)
		return bl.nx * bl.ny * bl.nz
	}
	return 0
}

func (b *bin) keep(s space) {
	at, _ := slices.BinarySearchFunc(b.spaces, s, func(a, b space) int {
		return cmp.Or(cmp.Compare(a.volume(), b.volume()), cmp.Compare(a.z, b.z), cmp.Compare(a.y, b.y), cmp.Compare(a.x, b.x))
	})
	b.spaces = slices.Insert(b.spaces, at, s)
}

// best is how something is turned so that the most of it fits, and how much that is.
func best(of, in Sides, most int64) (turned Sides, n int64) {
	a, b, c := of.Length, of.Width, of.Height
	for _, t := range []Sides{{a, b, c}, {a, c, b}, {b, a, c}, {b, c, a}, {c, a, b}, {c, b, a}} {
		if fit := min(in.Length/t.Length*(in.Width/t.Width)*(in.Height/t.Height), most); fit > n {
			turned, n = t, fit
		}
	}
	return turned, n
}

func (b bin) parcel() Parcel {
	p := Parcel{Count: b.count, Box: b.box.Name, Grams: b.grams, Sides: b.box.Sides, Oversize: b.oversize, Excess: b.excess, layout: b.layout}
	for _, it := range b.contents {
		p.Items = append(p.Items, Content{it.SKU, it.Quantity})
	}
	return p
}
