package paymentsapi_test

import (
	"github.com/fusioncommerce/fusion/internal/payments/paymentsapi"
	"github.com/fusioncommerce/fusion/internal/platform/eventschema/eventspec"
)

func payment(status, captured, refunded, disputed string) paymentsapi.Payment {
	return paymentsapi.Payment{
		PaymentID: "019cebb3-07c2-7d45-8f19-e46a0b93d5c1", OrderID: "019cebb3-07c2-7d45-8f19-e46a0b93d5c2", Provider: "stripe", Amount: "3000", Currency: "JPY",
		Status: status, Authorized: "3000", Captured: captured, Refunded: refunded, Disputed: disputed, Version: 2,
	}
}

var _ = eventspec.Contract("payments", paymentsapi.Schemas,
	paymentsapi.PaymentCreated{Payment: payment("processing", "0", "0", "0")},
	paymentsapi.PaymentAuthorized{Payment: payment("authorized", "0", "0", "0")},
	paymentsapi.PaymentReceived{Payment: payment("processing", "1000", "0", "0")},
	paymentsapi.PaymentSucceeded{Payment: payment("succeeded", "3000", "0", "0")},
	paymentsapi.PaymentFailed{Payment: payment("failed", "0", "0", "0"), Reason: "insufficient_funds"},
	paymentsapi.PaymentCancelled{Payment: payment("cancelled", "0", "0", "0")},
	paymentsapi.PaymentRefunded{Payment: payment("succeeded", "3000", "500", "0")},
	paymentsapi.PaymentDisputed{Payment: payment("succeeded", "3000", "0", "3000")},
)
