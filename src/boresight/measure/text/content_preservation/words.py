"""Word lists of the normaliser and the rule tagger, written for this project."""

MONTHS = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
]
WEEKDAYS = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]
SHORT_MONTHS = {m[:3]: m for m in MONTHS} | {"sept": "september"}
SHORT_WEEKDAYS = {d[:3]: d for d in WEEKDAYS} | {
    "tues": "tuesday",
    "weds": "wednesday",
    "thur": "thursday",
    "thurs": "thursday",
}

NUMBER_WORDS = {
    word: value
    for value, word in enumerate(
        [
            "zero",
            "one",
            "two",
            "three",
            "four",
            "five",
            "six",
            "seven",
            "eight",
            "nine",
            "ten",
            "eleven",
            "twelve",
            "thirteen",
            "fourteen",
            "fifteen",
            "sixteen",
            "seventeen",
            "eighteen",
            "nineteen",
        ]
    )
} | {
    w: 10 * (i + 2)
    for i, w in enumerate(["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"])
}
SCALE_WORDS = {"hundred": 100, "thousand": 10**3, "million": 10**6, "billion": 10**9}
ORDINAL_WORDS = (
    {
        word: value + 1
        for value, word in enumerate(
            [
                "first",
                "second",
                "third",
                "fourth",
                "fifth",
                "sixth",
                "seventh",
                "eighth",
                "ninth",
                "tenth",
                "eleventh",
                "twelfth",
                "thirteenth",
                "fourteenth",
                "fifteenth",
                "sixteenth",
                "seventeenth",
                "eighteenth",
                "nineteenth",
            ]
        )
    }
    | {
        w: 10 * (i + 2)
        for i, w in enumerate(["twentieth", "thirtieth", "fortieth", "fiftieth", "sixtieth", "seventieth"])
    }
    | {"eightieth": 80, "ninetieth": 90}
)

CURRENCIES = {
    "$": "usd",
    "usd": "usd",
    "us dollars": "usd",
    "dollars": "usd",
    "dollar": "usd",
    "bucks": "usd",
    "€": "eur",
    "eur": "eur",
    "euros": "eur",
    "euro": "eur",
    "£": "gbp",
    "gbp": "gbp",
    "pounds": "gbp",
    "pound": "gbp",
    "quid": "gbp",
    "¥": "jpy",
    "jpy": "jpy",
    "yen": "jpy",
    "rupees": "inr",
    "inr": "inr",
}

UNITS = [
    "people",
    "persons",
    "person",
    "guests",
    "guest",
    "adults",
    "adult",
    "children",
    "child",
    "kids",
    "passengers",
    "passenger",
    "seats",
    "seat",
    "tickets",
    "ticket",
    "nights",
    "night",
    "days",
    "day",
    "weeks",
    "week",
    "months",
    "month",
    "years",
    "year",
    "hours",
    "hour",
    "minutes",
    "minute",
    "seconds",
    "rooms",
    "room",
    "beds",
    "bed",
    "bags",
    "bag",
    "miles",
    "mile",
    "km",
    "kilometers",
    "kilometres",
    "meters",
    "metres",
    "kg",
    "kilograms",
    "stops",
    "stop",
    "tables",
    "table",
    "stars",
    "star",
]

CUISINES = [
    "afghan",
    "african",
    "american",
    "arabic",
    "argentinian",
    "asian",
    "australian",
    "austrian",
    "barbecue",
    "bbq",
    "belgian",
    "brazilian",
    "british",
    "burmese",
    "cajun",
    "cambodian",
    "cantonese",
    "caribbean",
    "chinese",
    "colombian",
    "creole",
    "cuban",
    "dutch",
    "egyptian",
    "ethiopian",
    "european",
    "filipino",
    "french",
    "fusion",
    "georgian",
    "german",
    "greek",
    "halal",
    "hawaiian",
    "hungarian",
    "indian",
    "indonesian",
    "iranian",
    "irish",
    "israeli",
    "italian",
    "jamaican",
    "japanese",
    "kebab",
    "korean",
    "kosher",
    "lebanese",
    "malaysian",
    "mediterranean",
    "mexican",
    "mongolian",
    "moroccan",
    "nepalese",
    "nigerian",
    "pakistani",
    "persian",
    "peruvian",
    "pizza",
    "polish",
    "portuguese",
    "ramen",
    "russian",
    "scandinavian",
    "scottish",
    "seafood",
    "sichuan",
    "spanish",
    "steakhouse",
    "sushi",
    "swedish",
    "swiss",
    "syrian",
    "szechuan",
    "taiwanese",
    "tapas",
    "thai",
    "tibetan",
    "turkish",
    "ukrainian",
    "vegan",
    "vegetarian",
    "venezuelan",
    "vietnamese",
]

NOT_NAMES = frozenset(
    [
        "i",
        "i'm",
        "i'd",
        "i'll",
        "i've",
        "ok",
        "okay",
        "yes",
        "no",
        "please",
        "thanks",
        "thank",
        "hi",
        "hello",
        "hey",
        "sure",
        "great",
        "good",
        "and",
        "but",
        "or",
        "so",
        "the",
        "a",
        "an",
        "it",
        "this",
        "that",
        "what",
        "which",
        "when",
        "where",
        "who",
        "how",
        "why",
        "can",
        "could",
        "would",
        "will",
        "do",
        "does",
        "is",
        "are",
        "my",
        "your",
        "we",
        "you",
        "they",
        "he",
        "she",
        "tv",
        "pm",
        "am",
    ]
)
"""Words that are no name though written with a capital."""

_COUNTRIES = """afghanistan|albania|algeria|andorra|angola|argentina|armenia|australia|austria|azerbaijan|bahamas
bahrain|bangladesh|barbados|belarus|belgium|belize|benin|bhutan|bolivia|bosnia|botswana|brazil|brunei|bulgaria
burkina faso|burundi|cambodia|cameroon|canada|cape verde|chad|chile|china|colombia|congo|costa rica|croatia|cuba
cyprus|czech republic|denmark|djibouti|dominica|dominican republic|ecuador|egypt|el salvador|england|eritrea|estonia
ethiopia|fiji|finland|france|gabon|gambia|germany|ghana|great britain|greece|grenada|guatemala|guinea|guyana|haiti
honduras|hungary|iceland|india|indonesia|iran|iraq|ireland|israel|italy|ivory coast|jamaica|japan|kazakhstan|kenya
kiribati|kosovo|kuwait|kyrgyzstan|laos|latvia|lebanon|lesotho|liberia|libya|liechtenstein|lithuania|luxembourg
madagascar|malawi|malaysia|maldives|malta|mauritania|mauritius|mexico|moldova|monaco|mongolia|montenegro|morocco
mozambique|myanmar|namibia|nepal|netherlands|new zealand|nicaragua|niger|nigeria|north korea|norway|oman|pakistan
palau|panama|papua new guinea|paraguay|peru|philippines|poland|portugal|qatar|romania|russia|rwanda|samoa|san marino
saudi arabia|scotland|senegal|serbia|seychelles|sierra leone|slovakia|slovenia|somalia|south africa|south korea|spain
sri lanka|sudan|suriname|sweden|switzerland|syria|taiwan|tajikistan|tanzania|thailand|togo|tonga|tunisia|turkey
turkmenistan|uganda|ukraine|united arab emirates|united kingdom|united states|uruguay|usa|uzbekistan|vanuatu
venezuela|vietnam|wales|yemen|zambia|zimbabwe"""

_CITIES = """abu dhabi|abuja|accra|addis ababa|adelaide|alameda|albany|albuquerque|alexandria|algiers|almaty|amman
amsterdam|anaheim|anchorage|ankara|antalya|antwerp|aspen|asuncion|athens|atlanta|auckland|austin|baghdad|bakersfield|baku
bali|baltimore|bangalore|bangkok|barcelona|basel|baton rouge|beijing|beirut|belfast|belgrade|bergen|berkeley|berlin
bern|bilbao|birmingham|bogota|boise|bologna|bordeaux|boston|brasilia|bratislava|bremen|brighton|brisbane|bristol
brooklyn|brussels|bucharest|budapest|buenos aires|buffalo|cairo|calgary|cambridge|campbell|canberra|cancun|cape town
caracas|cardiff|casablanca|charleston|charlotte|chennai|chiang mai|chicago|christchurch|cincinnati|cleveland|cologne
colombo|columbus|concord|copenhagen|cork|cupertino|dakar|dallas|damascus|daly city|danville|delhi|denver|des moines
detroit|dhaka|doha|dresden|dubai|dublin|dubrovnik|durban|dusseldorf|edinburgh|edmonton|el paso|emeryville|fairfield
florence|fort worth|frankfurt|fremont|fresno|fukuoka|galway|gdansk|geneva|genoa|ghent|glasgow|gothenburg|granada|graz
guadalajara|guangzhou|hamburg|hanoi|hanover|harare|hartford|havana|hayward|helsinki|hiroshima|ho chi minh city|hobart
hong kong|honolulu|houston|hyderabad|indianapolis|innsbruck|istanbul|jacksonville|jaipur|jakarta|jerusalem
johannesburg|kabul|kampala|kansas city|karachi|kathmandu|khartoum|kiev|kigali|kingston|kolkata|krakow|kuala lumpur
kyiv|kyoto|lafayette|lagos|lahore|las vegas|lausanne|leeds|leipzig|lille|lima|lisbon|liverpool|livermore|ljubljana
london|long beach|los altos|los angeles|los gatos|louisville|luanda|lusaka|lyon|madison|madrid|malaga|manchester
manhattan|manila|marrakesh|marseille|medellin|melbourne|memphis|menlo park|mexico city|miami|milan|mill valley
millbrae|milpitas|milwaukee|minneapolis|minsk|mombasa|monterey|montevideo|montreal|morgan hill|moscow|mountain view
mumbai|munich|nagoya|nairobi|nantes|napa|naples|nashville|new delhi|new orleans|new york|new york city|newark
newcastle|nice|nicosia|norfolk|novato|nuremberg|oakland|odessa|oklahoma city|omaha|orlando|osaka|oslo|ottawa|oxford
palermo|palo alto|paris|perth|petaluma|philadelphia|phnom penh|phoenix|pittsburgh|pleasanton|portland|porto|prague
pretoria|pune|quebec|quito|raleigh|redwood city|reno|reykjavik|richmond|riga|rio de janeiro|riyadh|rome|rotterdam
sacramento|salt lake city|salvador|salzburg|san antonio|san bruno|san carlos|san diego|san francisco|san jose|san juan
san leandro|san mateo|san rafael|san ramon|santa clara|santa cruz|santa fe|santa monica|santa rosa|santiago|sao paulo
sarajevo|saratoga|sausalito|savannah|seattle|seoul|seville|shanghai|shenzhen|singapore|sofia|sonoma|split|stockholm
strasbourg|stuttgart|sunnyvale|sydney|taipei|tallinn|tampa|tashkent|tbilisi|tehran|tel aviv|the hague|tijuana|tirana
tokyo|toledo|toronto|toulouse|tripoli|tucson|tulsa|tunis|turin|ulaanbaatar|utrecht|vacaville|vail|valencia|vallejo
vancouver|venice|verona|vienna|vilnius|walnut creek|warsaw|washington|wellington|windsor|winnipeg|york|yosemite
zagreb|zanzibar|zurich"""


def _names(block: str) -> frozenset[str]:
    return frozenset(name for line in block.splitlines() for name in line.split("|"))


PLACES = _names(_COUNTRIES) | _names(_CITIES)
AMBIGUOUS_PLACES = frozenset({"nice", "turkey", "split", "reno", "cork", "georgia", "chad", "niger", "concord", "napa"})
"""Places that are common words too: tagged only where written with a capital."""
