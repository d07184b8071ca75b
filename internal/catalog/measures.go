package catalog

import (
	"github.com/fusioncommerce/fusion/internal/catalog/catalogapi"
	"github.com/fusioncommerce/fusion/internal/platform/fault"
)

// dimensions are the sides of something; all 0: not known.
type dimensions struct {
	Length int64 `json:"length" minimum:"0" maximum:"10000" doc:"mm" example:"120"`
	Width  int64 `json:"width" minimum:"0" maximum:"10000" doc:"mm" example:"90"`
	Height int64 `json:"height" minimum:"0" maximum:"10000" doc:"mm" example:"100"`
}

// check finds sides of which only some are known.
func (d *dimensions) check() (fields []fault.Field) {
	if d == nil || *d == (dimensions{}) {
		return nil
	}
	for _, side := range []struct {
		name string
		mm   int64
	}{{"length", d.Length}, {"width", d.Width}, {"height", d.Height}} {
		if side.mm == 0 {
			fields = append(fields, fault.Field{Pointer: "/dimensions/" + side.name, Code: "minimum", Detail: "must be at least 1, as the others are"})
		}
	}
	return fields
}

func measured(grams int64, d *dimensions) catalogapi.Measures {
	m := catalogapi.Measures{Grams: grams}
	if d != nil {
		m.Length, m.Width, m.Height = d.Length, d.Width, d.Height
	}
	return m
}

func presentSides(m catalogapi.Measures) *dimensions {
	if m.Length == 0 {
		return nil
	}
	return &dimensions{m.Length, m.Width, m.Height}
}
