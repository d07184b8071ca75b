package label

import "github.com/fusioncommerce/fusion/internal/platform/sheet"

// Layout is where everything is on a label.
func Layout(m Model) (*sheet.Sheet, error) { return layout(m) }

// Layout is where everything is on the form's pages.
func (f CustomsForm) Layout() ([]*sheet.Sheet, error) { return f.layout() }

// Layout is where everything is on the slip's pages.
func (s PackingSlip) Layout() []*sheet.Sheet { return s.layout() }
