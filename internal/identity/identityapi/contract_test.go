package identityapi_test

import (
	"github.com/fusioncommerce/fusion/internal/identity/identityapi"
	"github.com/fusioncommerce/fusion/internal/platform/eventschema/eventspec"
)

const customer = "019cec07-9d40-7c31-8a5e-b04f6d2c1e97"

var _ = eventspec.Contract("identity", identityapi.Schemas,
	identityapi.CustomerErased{CustomerID: customer},
)
