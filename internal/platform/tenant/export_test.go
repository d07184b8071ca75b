package tenant

// Settle is what specs need to know of how a tenant is removed.
const Settle = settle

// Take stores a tenant as another deployment shows it.
var Take = take
