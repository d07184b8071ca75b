package carriersim

import (
	"fmt"

	"github.com/fusioncommerce/fusion/internal/shipping/carrier"
)

// LedgerLabel is a label that somebody has paid for.
type LedgerLabel struct {
	API            string            `json:"api"` // "easypost" or "shippo"
	Account        string            `json:"account"`
	Shipment       string            `json:"shipment"`
	Reference      string            `json:"reference,omitempty"` // of the shipment, as it was sent
	Key            string            `json:"key,omitempty"`       // metadata of the purchase
	Carrier        string            `json:"carrier"`
	Service        string            `json:"service"`
	TrackingNumber string            `json:"trackingNumber"`
	Cost           string            `json:"cost"` // dollars
	Status         carrier.Status    `json:"status"`
	Void           carrier.VoidState `json:"void,omitempty"`
}

// Labels are all that were bought, the oldest first: what an auditor asks for.
func (s *Simulator) Labels() []LedgerLabel {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.settle()
	all := []LedgerLabel{}
	for _, l := range s.labels {
		p := l.rate.shipment
		all = append(all, LedgerLabel{
			API: p.acct.api, Account: p.acct.name, Shipment: p.id, Reference: p.reference, Key: l.key, Carrier: l.rate.service.carrier, Service: l.rate.service.name,
			TrackingNumber: l.number, Cost: dollars(l.rate.cents), Status: l.status, Void: l.void,
		})
	}
	return all
}

func dollars(cents int64) string { return fmt.Sprintf("%d.%02d", cents/100, cents%100) }
