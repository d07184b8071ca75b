package model_test

import (
	"math/rand/v2"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/fusioncommerce/fusion/internal/platform/money"
)

var _ = DescribeTable("an order that is called off unit by unit gives back what it gives back at once, in", Label("db"), func(c money.Currency) {
	s := opened().opens()
	rng := rand.New(rand.NewPCG(uint64(GinkgoRandomSeed()), 0))
	for range 3 {
		o := drawn(rng)
		o.OnHand = map[string]int64{"A": 50, "B": 50}
		paid := func() (*journey, model) {
			GinkgoHelper()
			j, m, err := s.begins(o, c)
			Expect(err).NotTo(HaveOccurred())
			m, err = j.does(m, op{Kind: "pay"}.on(j, m))
			Expect(err).NotTo(HaveOccurred())
			Expect(j.observed()).To(And(HaveField("Status", "paid"), HaveField("Captured", m.Total)))
			return j, m
		}
		// All but the last unit, each line in one piece, and unit by unit from line to line.
		pieces, m := paid()
		units, _ := paid()
		last := len(m.Lines) - 1
		var left []int64
		for i, l := range m.Lines {
			left = append(left, l.left())
			if i == last {
				left[i]--
			}
			if left[i] > 0 {
				Expect(pieces.must("POST", "/v1/orders/"+pieces.order.String()+"/cancel", object{"items": []object{{"line": i + 1, "quantity": left[i]}}}, nil)).To(Succeed())
			}
		}
		for more := true; more; {
			more = false
			for i := range left {
				if left[i] == 0 {
					continue
				}
				Expect(units.must("POST", "/v1/orders/"+units.order.String()+"/cancel", object{"items": []object{{"line": i + 1, "quantity": 1}}}, nil)).To(Succeed())
				left[i]--
				more = true
			}
		}
		Expect(s.settles()).To(Succeed())
		one, err := pieces.observed()
		Expect(err).NotTo(HaveOccurred())
		other, err := units.observed()
		Expect(err).NotTo(HaveOccurred())
		Expect(other).To(Equal(one))
		of := m.Lines[last].Units
		Expect(one.Refunded).To(Equal(m.Total-o.Shipping-of[len(of)-1]), "all but what the last unit and shipping cost")

		// The last unit is the rest of the order: all goes back that was paid, and not a cent more.
		for _, j := range []*journey{pieces, units} {
			Expect(j.must("POST", "/v1/orders/"+j.order.String()+"/cancel", object{"items": []object{{"line": last + 1, "quantity": 1}}}, nil)).To(Succeed())
			Expect(s.settles()).To(Succeed())
			Expect(j.observed()).To(And(HaveField("Status", "cancelled"), HaveField("Captured", m.Total), HaveField("Refunded", m.Total)))
		}
		whole, _ := paid()
		Expect(whole.must("POST", "/v1/orders/"+whole.order.String()+"/cancel", nil, nil)).To(Succeed())
		Expect(s.settles()).To(Succeed())
		Expect(whole.observed()).To(And(HaveField("Status", "cancelled"), HaveField("Refunded", m.Total)))
	}
},
	Entry("yen, which have no smaller coin", money.JPY),
	Entry("euros, in cents", money.EUR),
	Entry("dinars, in thousandths", money.Currency("KWD")),
	Entry("the indexed unit of Chile, in ten-thousandths", money.Currency("CLF")),
)
