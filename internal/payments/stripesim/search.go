package stripesim

import (
	"regexp"
	"slices"
	"strconv"
)

// clause is the part of Stripe's query language that finds metadata.
var clause = regexp.MustCompile(`^\s*metadata\[['"]([^'"]+)['"]\]\s*:\s*['"]([^'"]*)['"]\s*$`)

// searchIntents finds by metadata. What is new is not found for a while.
func searchIntents(c *call) (any, error) {
	query := clause.FindStringSubmatch(c.text("query"))
	if query == nil {
		return nil, invalid("", "query", "The simulator searches by metadata only: metadata['order']:'1001'")
	}
	limit, err := c.limit()
	if err != nil {
		return nil, err
	}
	skip := 0
	if at := c.text("page"); at != "" {
		if skip, err = strconv.Atoi(at); err != nil || skip < 0 {
			return nil, invalid("", "page", "Invalid page: use the next_page of the page before")
		}
	}
	var found []*intent
	indexed := c.sim.now().Add(-c.sim.opt.SearchLag)
	for _, i := range slices.Backward(c.acct.intents.all) {
		if !i.madeAt.After(indexed) && i.Metadata[query[1]] == query[2] {
			found = append(found, i)
		}
	}
	found = found[min(skip, len(found)):]
	more := len(found) > limit
	p := newPage(c, found[:min(limit, len(found))], more)
	p.Object = "search_result"
	if more {
		p.NextPage = strconv.Itoa(skip + limit)
	}
	return p, nil
}
