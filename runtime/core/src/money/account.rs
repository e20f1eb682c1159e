//! The accounts of a stream and their types. Does not know the kinds that move amounts between
//! them.

/// The type of an account. It fixes whether the account belongs to net revenue, and the sign with
/// which reports show its balance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AccountType {
    /// What the owner has: money at a provider or at the bank.
    Asset,
    /// What the owner owes.
    Liability,
    /// Neither: amounts on their way between streams or between currencies.
    Neither,
    /// What raises net revenue.
    Income,
    /// What lowers net revenue.
    Expense,
}

impl AccountType {
    /// Its name in the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Asset => "asset",
            Self::Liability => "liability",
            Self::Neither => "neither",
            Self::Income => "income",
            Self::Expense => "expense",
        }
    }

    /// Returns 1 if reports show the sum of the legs, and −1 if they show its negation. A leg is
    /// positive if the account receives the amount, so that income and liabilities, which give, are
    /// shown negated: a sale of 100 is shown as 100 of `sales`, and tax of 20 as 20 of `tax-held`.
    #[must_use]
    pub const fn report_sign(self) -> i8 {
        match self {
            Self::Asset | Self::Neither | Self::Expense => 1,
            Self::Liability | Self::Income => -1,
        }
    }

    /// Whether amounts that leave an account of this type are net revenue.
    #[must_use]
    pub const fn is_revenue(self) -> bool {
        matches!(self, Self::Income | Self::Expense)
    }
}

macro_rules! accounts {
    ($($(#[$doc:meta])* $variant:ident => $name:literal, $account_type:ident;)*) => {
        /// An account of a stream.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Account { $($(#[$doc])* $variant,)* }

        impl Account {
            /// Every account.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// Its name.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// Its type.
            #[must_use]
            pub const fn account_type(self) -> AccountType {
                match self { $(Self::$variant => AccountType::$account_type,)* }
            }
        }
    };
}

accounts! {
    /// Money that a provider holds for the owner, or that a customer owes.
    Receivable => "receivable", Asset;
    /// Money at the bank.
    Bank => "bank", Asset;
    /// Tax that was collected and is owed.
    TaxHeld => "tax-held", Liability;
    /// What customers paid in advance or received as a gift, and have not used.
    Deferred => "deferred", Liability;
    /// Amounts on their way between streams.
    Clearing => "clearing", Neither;
    /// Amounts on their way between currencies.
    Conversion => "conversion", Neither;
    /// One-time sales.
    Sales => "sales", Income;
    /// Subscriptions.
    Subscriptions => "subscriptions", Income;
    /// Commissions.
    Commissions => "commissions", Income;
    /// Gains and losses of trades.
    Trades => "trades", Income;
    /// Billed usage.
    Usage => "usage", Income;
    /// Interest.
    Interest => "interest", Income;
    /// Corrections.
    Adjustments => "adjustments", Income;
    /// Refunds.
    Refunds => "refunds", Expense;
    /// Fees.
    Fees => "fees", Expense;
    /// Disputes.
    Disputes => "disputes", Expense;
    /// Credit that customers received as a gift.
    Promotions => "promotions", Expense;
}

impl Account {
    /// The account with that name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|account| account.as_str() == text)
    }

    /// Whether amounts that leave it are net revenue.
    #[must_use]
    pub const fn is_revenue(self) -> bool {
        self.account_type().is_revenue()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_names_one_account() {
        for account in Account::ALL {
            assert_eq!(Account::parse(account.as_str()), Some(*account));
        }
        assert_eq!(Account::parse("Sales"), None);
    }

    #[test]
    fn the_type_of_an_account_fixes_its_sign() {
        let signs = |account_type| {
            let accounts = Account::ALL.iter().filter(|account| account.account_type() == account_type);
            accounts.map(|account| account.as_str()).collect::<Vec<_>>()
        };
        assert_eq!(signs(AccountType::Asset), ["receivable", "bank"]);
        assert_eq!(signs(AccountType::Liability), ["tax-held", "deferred"]);
        assert_eq!(signs(AccountType::Neither), ["clearing", "conversion"]);
        assert_eq!(
            signs(AccountType::Income),
            ["sales", "subscriptions", "commissions", "trades", "usage", "interest", "adjustments"]
        );
        assert_eq!(signs(AccountType::Expense), ["refunds", "fees", "disputes", "promotions"]);
        for (account_type, sign, revenue) in [
            (AccountType::Asset, 1, false),
            (AccountType::Liability, -1, false),
            (AccountType::Neither, 1, false),
            (AccountType::Income, -1, true),
            (AccountType::Expense, 1, true),
        ] {
            assert_eq!((account_type.report_sign(), account_type.is_revenue()), (sign, revenue));
        }
    }
}
