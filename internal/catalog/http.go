package catalog

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/fusioncommerce/fusion/internal/catalog/catalogapi"
	"github.com/fusioncommerce/fusion/internal/platform/clock"
	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/fault"
	"github.com/fusioncommerce/fusion/internal/platform/httpx"
	"github.com/fusioncommerce/fusion/internal/platform/identity"
	"github.com/fusioncommerce/fusion/internal/platform/money"
	"github.com/fusioncommerce/fusion/internal/platform/tenant"
	"github.com/fusioncommerce/fusion/internal/platform/territory"
)

type createBody struct {
	SKU         string        `json:"sku" minLength:"1" maxLength:"64" pattern:"^[A-Za-z0-9][A-Za-z0-9._~:+-]{0,63}$" doc:"Unique in the shop" example:"MUG-BLUE"`
	Name        string        `json:"name" minLength:"1" maxLength:"200" example:"Blue mug"`
	Description string        `json:"description,omitempty" maxLength:"10000" doc:"Text, or HTML of which scripts are removed"`
	Price       httpx.Decimal `json:"price"`
	Currency    string        `json:"currency" minLength:"1" maxLength:"3" doc:"ISO 4217" example:"EUR"`
	Inventory   int64         `json:"inventory,omitempty" minimum:"0" maximum:"1000000000" doc:"Units on hand to begin with"`
	TaxClass    string        `json:"taxClass,omitempty" pattern:"^[a-z][a-z0-9_-]{0,31}$" default:"standard" doc:"Names the tax rates that it is taxed by" example:"reduced"`
	WeightGrams int64         `json:"weightGrams,omitempty" minimum:"0" maximum:"1000000" doc:"Of one, as it is sent; 0: not known" example:"350"`
	Dimensions  *dimensions   `json:"dimensions,omitempty" doc:"Of one, as it is sent"`
	HSCode      string        `json:"hsCode,omitempty" pattern:"^([0-9]{6,12})?$" doc:"Of the Harmonized System, 6 to 12 digits: customs ask for it" example:"691200"`
	Origin      string        `json:"countryOfOrigin,omitempty" pattern:"^([A-Z]{2})?$" doc:"Where it was made, ISO 3166-1 alpha-2: customs ask for it" example:"PT"`
	Status      string        `json:"status,omitempty" enum:"draft,active" default:"active"`
}

// Check finds what the schema cannot say.
func (b *createBody) Check() []fault.Field {
	_, fields := b.Price.Amount(b.Currency, "/price", "/currency")
	return slices.Concat(fields, httpx.Line("/name", b.Name), b.Dimensions.check(), checkOrigin(b.Origin))
}

// checkOrigin finds a country that there is not.
func checkOrigin(country string) []fault.Field {
	if country == "" {
		return nil
	}
	return territory.CheckCountry("/countryOfOrigin", country)
}

// CheckFor refuses currencies that the shop does not sell in.
func (b *createBody) CheckFor(ctx context.Context) []fault.Field {
	return tenant.CheckCurrency(ctx, "/currency", money.Currency(b.Currency))
}

type createInput struct{ httpx.JSON[createBody] }

type productResponse struct {
	ID          string      `json:"id" format:"uuid"`
	SKU         string      `json:"sku" example:"MUG-BLUE"`
	Name        string      `json:"name" example:"Blue mug"`
	Description string      `json:"description"`
	Price       string      `json:"price" doc:"Decimal with the currency's digits" example:"12.50"`
	Currency    string      `json:"currency" doc:"ISO 4217" example:"EUR"`
	TaxClass    string      `json:"taxClass" doc:"Names the tax rates that it is taxed by" example:"standard"`
	WeightGrams int64       `json:"weightGrams,omitempty" doc:"Of one, as it is sent; absent when it is not known" example:"350"`
	Dimensions  *dimensions `json:"dimensions,omitempty" doc:"Of one, as it is sent; absent when they are not known"`
	HSCode      string      `json:"hsCode,omitempty" doc:"Of the Harmonized System" example:"691200"`
	Origin      string      `json:"countryOfOrigin,omitempty" doc:"Where it was made, ISO 3166-1 alpha-2" example:"PT"`
	Status      string      `json:"status" enum:"draft,active,archived"`
	CreatedAt   time.Time   `json:"createdAt"`
	UpdatedAt   time.Time   `json:"updatedAt"`

	version int64
}

// ETag is the product's version.
func (r productResponse) ETag() string { return httpx.VersionTag(r.version) }

// createdResponse also says where the product is.
type createdResponse struct{ productResponse }

// Location of the product.
func (r createdResponse) Location() string { return "/v1/products/" + r.ID }

func present(p product) productResponse {
	return productResponse{
		ID: p.ID.String(), SKU: p.SKU, Name: p.Name, Description: p.Description, Price: p.Price.Decimal(), Currency: string(p.Price.Currency),
		TaxClass: p.TaxClass, WeightGrams: p.Measures.Grams, Dimensions: presentSides(p.Measures),
		HSCode: p.Customs.HSCode, Origin: p.Customs.Origin, Status: string(p.Status), CreatedAt: p.CreatedAt, UpdatedAt: p.UpdatedAt, version: p.Version,
	}
}

func (s *service) handleCreate(ctx context.Context, in *createInput) (createdResponse, error) {
	b := in.Body
	price, _ := b.Price.Amount(b.Currency, "", "") // Check has accepted it
	p := product{
		ID: clock.NewID(), SKU: b.SKU, Name: b.Name, Description: b.Description, Price: price, TaxClass: b.TaxClass, Measures: measured(b.WeightGrams, b.Dimensions),
		Customs: catalogapi.Customs{HSCode: b.HSCode, Origin: b.Origin}, Status: status(b.Status),
	}
	stocked := s.events.Await(catalogapi.ProductCreated{}.EventType(), p.ID.String())
	out, err := httpx.Command(ctx, s.db, func(tx *db.Tx) (createdResponse, error) {
		p, err := s.create(ctx, tx, p, b.Inventory)
		return createdResponse{present(p)}, err
	})
	stocked(ctx, err == nil)
	return out, err
}

type byID struct {
	ID string `path:"id"`
}

func (s *service) handleGet(ctx context.Context, in *byID) (httpx.Cached[productResponse], error) {
	id, err := httpx.ID(in.ID)
	if err != nil {
		return httpx.Cached[productResponse]{}, err
	}
	staff := identity.Can(ctx, permissionRead)
	return cached(ctx, s.cache, id.String()+strconv.FormatBool(staff), func() (productResponse, error) {
		p, err := s.get(ctx, id)
		if err == nil && p.Status == draft && !staff {
			err = httpx.ErrNotFound
		}
		return present(p), err
	})
}

// cached answers with what was rendered since the merchant's products last changed,
// or renders it.
func cached[T httpx.Tagged](ctx context.Context, c *cache, key string, make func() (T, error)) (httpx.Cached[T], error) {
	id, err := identity.From(ctx)
	if err != nil {
		return httpx.Cached[T]{}, err
	}
	if r, ok := c.page(id.Tenant, key); ok {
		return httpx.Cached[T]{Rendered: r}, nil
	}
	generation := c.enter(id.Tenant)
	out, err := make()
	if err != nil {
		return httpx.Cached[T]{}, err
	}
	r, err := httpx.Render(out)
	if err != nil {
		return httpx.Cached[T]{}, err
	}
	c.keepPage(id.Tenant, generation, key, r)
	return httpx.Cached[T]{Rendered: r}, nil
}

type listInput struct {
	httpx.Page
	Q      string `query:"q" maxLength:"200" doc:"Text in name, SKU or description"`
	SKU    string `query:"sku" maxLength:"64"`
	Status string `query:"status" enum:"draft,active,archived" default:"active"`
	Sort   string `query:"sort" enum:"createdAt,-createdAt,name,-name,sku,-sku" default:"-createdAt"`
}

// key tells a page from all others. The length before each text keeps texts that run
// together apart.
func (in listInput) key() string {
	key := make([]byte, 0, 64)
	for _, text := range []string{in.Status, in.Sort, in.SKU, in.Q, in.Cursor} {
		key = append(strconv.AppendInt(key, int64(len(text)), 10), ':')
		key = append(key, text...)
	}
	return string(strconv.AppendInt(key, int64(in.Limit), 10))
}

type listResponse struct {
	httpx.List[productResponse]
	tag string
}

func (r listResponse) ETag() string { return r.tag }

func (s *service) handleList(ctx context.Context, in *listInput) (httpx.Cached[listResponse], error) {
	if in.Status == string(draft) && !identity.Can(ctx, permissionRead) {
		return httpx.Cached[listResponse]{}, errDraftsHidden
	}
	return cached(ctx, s.cache, in.key(), func() (listResponse, error) { return s.page(ctx, in) })
}

func (s *service) page(ctx context.Context, in *listInput) (listResponse, error) {
	f := filter{Status: status(in.Status), SKU: in.SKU, Query: in.Q, Sort: in.Sort, Limit: in.Limit + 1}
	if in.Cursor != "" {
		f.After = &position{}
		if err := httpx.ReadCursor(in.Cursor, f.After); err != nil {
			return listResponse{}, err
		}
		if f.After.Sort != f.Sort {
			return listResponse{}, httpx.ErrCursor("it belongs to another order of the list")
		}
		if !f.After.readable() {
			return listResponse{}, httpx.ErrCursor("it cannot be read")
		}
	}
	products, err := s.list(ctx, f)
	if err != nil {
		return listResponse{}, err
	}
	return presentPage(f, products, in.Limit)
}

func presentPage(f filter, products []product, limit int) (listResponse, error) {
	out := listResponse{List: httpx.List[productResponse]{Data: []productResponse{}}}
	if len(products) > limit {
		products = products[:limit]
		cursor, err := httpx.Cursor(f.position(products[limit-1]))
		if err != nil {
			return listResponse{}, err
		}
		out.NextCursor = cursor
	}
	hash := sha256.New()
	for _, p := range products {
		out.Data = append(out.Data, present(p))
		fmt.Fprintf(hash, "%s %d\n", p.ID, p.Version)
	}
	fmt.Fprint(hash, out.NextCursor)
	out.tag = `"` + hex.EncodeToString(hash.Sum(nil)[:12]) + `"`
	return out, nil
}

type updateBody struct {
	Name        *string        `json:"name,omitempty" minLength:"1" maxLength:"200"`
	Description *string        `json:"description,omitempty" maxLength:"10000"`
	Price       *httpx.Decimal `json:"price,omitempty"`
	Currency    *string        `json:"currency,omitempty" minLength:"1" maxLength:"3" doc:"Needs price beside it"`
	TaxClass    *string        `json:"taxClass,omitempty" pattern:"^[a-z][a-z0-9_-]{0,31}$"`
	WeightGrams *int64         `json:"weightGrams,omitempty" minimum:"0" maximum:"1000000" doc:"0: not known any more"`
	Dimensions  *dimensions    `json:"dimensions,omitempty" doc:"All 0: not known any more"`
	HSCode      *string        `json:"hsCode,omitempty" pattern:"^([0-9]{6,12})?$" doc:"Empty: not known any more"`
	Origin      *string        `json:"countryOfOrigin,omitempty" pattern:"^([A-Z]{2})?$" doc:"Empty: not known any more"`
	Status      *string        `json:"status,omitempty" enum:"draft,active,archived"`
}

// Check finds what the schema cannot say.
func (b *updateBody) Check() (fields []fault.Field) {
	if b.Name != nil {
		fields = append(fields, httpx.Line("/name", *b.Name)...)
	}
	fields = append(fields, b.Dimensions.check()...)
	if b.Origin != nil {
		fields = append(fields, checkOrigin(*b.Origin)...)
	}
	if b.Currency != nil && b.Price == nil {
		fields = append(fields, fault.Field{Pointer: "/price", Code: "required", Detail: "is required with a currency"})
	}
	if b.Price != nil && b.Currency != nil {
		_, wrong := b.Price.Amount(*b.Currency, "/price", "/currency")
		fields = append(fields, wrong...)
	}
	return fields
}

// CheckFor refuses currencies that the shop does not sell in.
func (b *updateBody) CheckFor(ctx context.Context) []fault.Field {
	if b.Currency == nil {
		return nil
	}
	return tenant.CheckCurrency(ctx, "/currency", money.Currency(*b.Currency))
}

// changes of the body to a product. A price without a currency is in the product's own.
func (b updateBody) changes(p product) (changes, error) {
	c := changes{Name: b.Name, Description: b.Description, TaxClass: b.TaxClass, Grams: b.WeightGrams, Sides: (*sides)(b.Dimensions), HSCode: b.HSCode, Origin: b.Origin, Status: (*status)(b.Status)}
	if b.Price != nil {
		currency := string(p.Price.Currency)
		if b.Currency != nil {
			currency = *b.Currency
		}
		price, fields := b.Price.Amount(currency, "/price", "/currency")
		if len(fields) > 0 {
			return c, httpx.ErrValidation(fields...)
		}
		c.Price = &price
	}
	return c, nil
}

type updateInput struct {
	httpx.IfMatch
	httpx.JSON[updateBody]
	ID string `path:"id"`
}

func (s *service) handleUpdate(ctx context.Context, in *updateInput) (productResponse, error) {
	id, err := httpx.ID(in.ID)
	if err != nil {
		return productResponse{}, err
	}
	return httpx.Command(ctx, s.db, func(tx *db.Tx) (productResponse, error) {
		p, err := s.update(ctx, tx, id, in.IfMatch, in.Body.changes)
		return present(p), err
	})
}

type archiveInput struct {
	httpx.IfMatch
	ID string `path:"id"`
}

func (s *service) handleArchive(ctx context.Context, in *archiveInput) (httpx.None, error) {
	id, err := httpx.ID(in.ID)
	if err != nil {
		return httpx.None{}, err
	}
	gone := archived
	return httpx.Command(ctx, s.db, func(tx *db.Tx) (httpx.None, error) {
		_, err := s.update(ctx, tx, id, in.IfMatch, func(product) (changes, error) { return changes{Status: &gone}, nil })
		return httpx.None{}, err
	})
}
