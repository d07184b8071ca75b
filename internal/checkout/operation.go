package checkout

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/fusioncommerce/fusion/internal/catalog/catalogapi"
	"github.com/fusioncommerce/fusion/internal/platform/fault"
	"github.com/fusioncommerce/fusion/internal/platform/httpx"
	"github.com/fusioncommerce/fusion/internal/platform/territory"
)

// operation is one change of a cart as it is sent.
type operation struct {
	Op               string            `json:"op" enum:"addItem,setQuantity,removeItem,setEmail,setShippingAddress,setBillingAddress,setShippingMethod,addCode,removeCode,setMetadata" example:"addItem"`
	ItemID           string            `json:"itemId,omitempty" maxLength:"36" doc:"Of setQuantity and removeItem; or sku"`
	SKU              string            `json:"sku,omitempty" maxLength:"64" doc:"Of addItem, setQuantity and removeItem" example:"MUG-BLUE"`
	Quantity         *int64            `json:"quantity,omitempty" minimum:"0" maximum:"100000" doc:"Of addItem, one when it is absent, and of setQuantity, where nothing removes" example:"2"`
	Email            string            `json:"email,omitempty" personal:"true" format:"email" maxLength:"254"`
	Address          *address          `json:"address,omitempty" personal:"true"`
	ShippingMethodID string            `json:"shippingMethodId,omitempty" format:"uuid" maxLength:"36"`
	Code             string            `json:"code,omitempty" maxLength:"64" doc:"Of a discount"`
	Metadata         map[string]string `json:"metadata,omitempty" personal:"true" maxProperties:"50" doc:"In place of what there was"`
}

// flaws of an operation that its schema cannot say.
func (o operation) flaws(pointer string) (fields []fault.Field) {
	needs := func(missing bool, name string) {
		if missing {
			fields = append(fields, fault.Field{Pointer: pointer + name, Code: "required", Detail: "is required for " + o.Op})
		}
	}
	switch o.Op {
	case "addItem":
		needs(o.SKU == "", "/sku")
		if o.Quantity != nil && *o.Quantity == 0 {
			fields = append(fields, fault.Field{Pointer: pointer + "/quantity", Code: "minimum", Detail: "must be at least 1"})
		}
	case "setQuantity":
		needs(o.ItemID == "" && o.SKU == "", "/itemId")
		needs(o.Quantity == nil, "/quantity")
	case "removeItem":
		needs(o.ItemID == "" && o.SKU == "", "/itemId")
	case "setEmail":
		needs(o.Email == "", "/email")
	case "setShippingAddress":
		needs(o.Address == nil, "/address")
	case "setShippingMethod":
		needs(o.ShippingMethodID == "", "/shippingMethodId")
	case "addCode", "removeCode":
		needs(strings.TrimSpace(o.Code) == "", "/code")
	case "setMetadata":
		fields = append(fields, metadataFlaws(o.Metadata, pointer+"/metadata")...)
	}
	return append(fields, addressFlaws(o.Address, pointer+"/address")...)
}

// apply makes the change.
func (o operation) apply(ctx context.Context, c *cart, offers map[string]catalogapi.Offer, pointer string) error {
	switch o.Op {
	case "addItem":
		quantity := int64(1)
		if o.Quantity != nil {
			quantity = *o.Quantity
		}
		return c.add(ctx, offers, o.SKU, quantity, pointer)
	case "setQuantity", "removeItem":
		named := "/itemId"
		if o.ItemID == "" {
			named = "/sku"
		}
		at, err := c.find(o.ItemID, o.SKU, pointer+named)
		if err != nil {
			return err
		}
		if o.Op == "removeItem" {
			return c.resize(at, 0, pointer)
		}
		return c.resize(at, *o.Quantity, pointer)
	case "setEmail":
		c.Shown.Checked = c.Shown.Checked && strings.EqualFold(c.Email, o.Email)
		c.Email = o.Email
	case "setShippingAddress":
		c.ShippingAddress = o.Address
	case "setBillingAddress":
		c.BillingAddress = o.Address
	case "setShippingMethod":
		c.MethodID = strings.ToLower(o.ShippingMethodID)
	case "addCode":
		return c.addCode(o.Code, pointer)
	case "removeCode":
		c.removeCode(o.Code)
	case "setMetadata":
		c.Metadata = o.Metadata
	}
	return nil
}

// apply makes all changes, or says of each why it cannot be made.
func apply(ctx context.Context, operations []operation, c *cart, offers map[string]catalogapi.Offer) error {
	var wrong fault.All
	for i, o := range operations {
		if err := wrong.Note(o.apply(ctx, c, offers, fmt.Sprintf("/operations/%d", i))); err != nil {
			return err
		}
	}
	return wrong.Err()
}

// wanted are the SKUs that operations add.
func wanted(operations []operation) (skus []string) {
	for _, o := range operations {
		if o.Op == "addItem" {
			skus = append(skus, o.SKU)
		}
	}
	return skus
}

func addressFlaws(a *address, pointer string) (fields []fault.Field) {
	if a == nil {
		return nil
	}
	for _, f := range []struct{ name, text string }{
		{"/name", a.Name}, {"/line1", a.Line1}, {"/line2", a.Line2}, {"/city", a.City}, {"/region", a.Region}, {"/postalCode", a.PostalCode}, {"/phone", a.Phone},
	} {
		fields = append(fields, httpx.Line(pointer+f.name, f.text)...)
	}
	return append(fields, territory.CheckCountry(pointer+"/country", a.Country)...)
}

// pointerEscaper makes a name one step of a JSON pointer (RFC 6901, 3).
var pointerEscaper = strings.NewReplacer("~", "~0", "/", "~1")

func metadataFlaws(metadata map[string]string, pointer string) (fields []fault.Field) {
	for _, name := range slices.Sorted(maps.Keys(metadata)) {
		at := pointer + "/" + pointerEscaper.Replace(name)
		if n := len([]rune(name)); n == 0 || n > 40 {
			fields = append(fields, fault.Field{Pointer: at, Code: "max_length", Detail: "must have a name of 1 to 40 characters"})
		} else if len([]rune(metadata[name])) > 500 {
			fields = append(fields, fault.Field{Pointer: at, Code: "max_length", Detail: "must have at most 500 characters"})
		}
	}
	return fields
}
