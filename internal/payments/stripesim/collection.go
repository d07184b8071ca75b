package stripesim

import (
	"slices"
	"strconv"
	"time"
)

// object is what has an id, a time, and a form that is sent.
type object interface {
	name() string
	made() int64
	view(expand) any
}

// collection keeps objects in the order in which they were made.
type collection[T object] struct {
	all  []T
	byID map[string]T
}

func (c *collection[T]) add(o T) {
	if c.byID == nil {
		c.byID = map[string]T{}
	}
	c.all, c.byID[o.name()] = append(c.all, o), o
}

func (c *collection[T]) remove(o T) {
	delete(c.byID, o.name())
	c.all = slices.DeleteFunc(c.all, func(other T) bool { return other.name() == o.name() })
}

// find answers as Stripe does when there is none: kind is what it calls it.
func (c *collection[T]) find(kind, id, param string) (T, error) {
	o, ok := c.byID[id]
	if !ok {
		return o, missing(kind, id, param)
	}
	return o, nil
}

// page is Stripe's list.
type page struct {
	Object   string `json:"object"`
	Data     []any  `json:"data"`
	HasMore  bool   `json:"has_more"`
	URL      string `json:"url"`
	NextPage string `json:"next_page,omitempty"`
}

const (
	usualPage = 10
	mostPage  = 100
)

// list is a page of those that are wanted, newest first, as the parameters limit,
// starting_after, ending_before and created ask for.
func list[T object](c *call, from *collection[T], kind string, want func(T) bool) (any, error) {
	limit, err := c.limit()
	if err != nil {
		return nil, err
	}
	within, err := c.created()
	if err != nil {
		return nil, err
	}
	var found []T
	for _, o := range slices.Backward(from.all) {
		if within(o.made()) && want(o) {
			found = append(found, o)
		}
	}
	after, before := c.text("starting_after"), c.text("ending_before")
	at := func(id, param string) (int, error) {
		if _, err := from.find(kind, id, param); err != nil {
			return 0, err
		}
		return slices.IndexFunc(found, func(o T) bool { return o.name() == id }), nil
	}
	var more bool
	switch {
	case before != "":
		i, err := at(before, "ending_before")
		if err != nil {
			return nil, err
		}
		found = found[:max(i, 0)]
		more = len(found) > limit
		found = found[max(0, len(found)-limit):]
	case after != "":
		i, err := at(after, "starting_after")
		if err != nil {
			return nil, err
		}
		found = found[i+1:]
		fallthrough
	default:
		more = len(found) > limit
		found = found[:min(limit, len(found))]
	}
	return newPage(c, found, more), nil
}

func newPage[T object](c *call, found []T, more bool) page {
	p := page{Object: "list", Data: []any{}, HasMore: more, URL: c.path}
	e, _ := c.expand().of("data")
	for _, o := range found {
		p.Data = append(p.Data, o.view(e))
	}
	return p
}

func (c *call) limit() (int, error) {
	text := c.text("limit")
	if text == "" {
		return usualPage, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > mostPage {
		return 0, invalid("parameter_invalid_integer", "limit", "This value must be between 1 and 100 (inclusive).")
	}
	return n, nil
}

// created reads created, or created[gte], [gt], [lte] and [lt].
func (c *call) created() (func(at int64) bool, error) {
	bounds := map[string]func(at, than int64) bool{
		"created":      func(at, than int64) bool { return at == than },
		"created[gte]": func(at, than int64) bool { return at >= than },
		"created[gt]":  func(at, than int64) bool { return at > than },
		"created[lte]": func(at, than int64) bool { return at <= than },
		"created[lt]":  func(at, than int64) bool { return at < than },
	}
	var checks []func(at int64) bool
	for name, holds := range bounds {
		text := c.text(name)
		if text == "" {
			continue
		}
		than, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return nil, invalid("parameter_invalid_integer", name, "Invalid timestamp: must be an integer Unix timestamp in seconds.")
		}
		checks = append(checks, func(at int64) bool { return holds(at, than) })
	}
	return func(at int64) bool {
		return !slices.ContainsFunc(checks, func(holds func(int64) bool) bool { return !holds(at) })
	}, nil
}

func seconds(t time.Time) int64 { return t.Unix() }
