"""The rules and the words of the embedded corpus "baker-street": small detective stories, all our own.

`pcfg.py` reads this text; the tests prove that every story has one derivation, told by its tokens from the left.

A rule is ``HEAD = alternative | alternative``. A number before an alternative is its weight (1 if there is none),
``_`` is nothing at all. ``HEAD ~ words`` is a list whose words get rarer down the list, like words of a language do.
Words in CAPITALS are other rules. ``HEAD:x`` is a rule with a parameter (n, t, x or y): ``ASK:a`` is ASK with every x
made an a. Of several rules of one name the first that fits is taken.
``+a`` draws something for the story to remember (here: the surname of suspect a) and writes it; ``@a`` writes it
again; ``@a.he`` writes a form that agrees with it.
"""

# fmt: off
# What a story remembers. Each line: the registers that draw from one list, without repetition within a story.
POOLS: list[tuple[str, str]] = [
    # three suspects and the client
    ("client a b c", """
        Pell Harrow Vane Thorne Crewe Marsh Blythe Quill Ashby Fenn Garland Hale Lorne Mercer Nash Oakes Prior Rusk
        Sable Tarrant Usher Voss Wickes Yarrow Abbott Bellamy Carver Dacre Ellery Farrow Gault Hobday Ingram Jessop
        Kestrel Lovell Maddox Norcott Orme Penrose Quarles Rudge Selwyn Trask Underhill Verney Wragg Yelland Aldous
        Birch Cobb Dunmore Eastlake Frith Granger Hatch Isham Jarrow Keble Lyle Moxon Noakes Oliphant Pomfret Ridley
        Stroud Tolland Upton Vickery Warboys Yates Ambrose Brock Coyle Drewitt Enderby Fallow Gilroy Hoskins Inchbald
        Jolliffe Kemble Larkin Munro Neville Osgood Pickering Quennell Rooke Shaw Tuttle Unwin Vaughan Weatherby
        Yorke Anstey Boldwood Crane Dobbs Everett Finch Gore Huxtable Irwin Jago Kirby Leigh Mowbray Ogilvie Purcell
        Rawlings Sparrow Teague Urquhart Vesey Wilmot"""),
    ("det", "Wren Marchmont Hawke Ravenel Merrick Flint Sterling Loveday Corbett Tempest"),
    ("client.title", "Miss Mr. Mrs. Lady Colonel Madame Captain Dame"),
    ("a.title", "Mr. Miss Mrs. Colonel Lady Captain Madame Major"),
    ("b.title", "Miss Mr. Mrs. Captain Madame Colonel Lady Major"),
    ("c.title", "Mr. Mrs. Miss Major Colonel Madame Captain Dame"),
    ("a.job b.job c.job", """
        gardener butler secretary cook lawyer nurse painter banker tutor valet jeweller surgeon librarian merchant
        pianist botanist clockmaker poet photographer historian florist sculptor bookseller astronomer"""),
    ("thing", """
        necklace pearls emerald letters manuscript diamonds violin ruby tiara plans chalice diary map coins crown will
        sapphire jewels pendant documents telescope locket medals statue bracelet opals cameo deeds casket stamps
        amulet bonds brooch sceptre recipes parchment fiddle compasses vase dagger"""),
    ("place", """
        Ashcombe Bramley Coldwater Dunmere Elmstead Farleigh Greywell Hazelmere Kingsbarrow Langmere Millbrook
        Northgate Oakhurst Pinewood Ravensby Stonehurst Thornwick Underwood Westbourne Yewdale Blackfen Crowhurst
        Deepdale Eastmoor Foxholt Gorsemoor Highcliff Marshgate Netherby Otterbourne Redfern Saltmarsh"""),
    ("kind", "Hall Manor House Lodge Abbey Court Grange Park"),
    ("room", """
        library study drawing-room gallery dining-room music-room chapel conservatory tower billiard-room vault
        attic"""),
    ("hour", "ten eleven nine midnight eight one two seven three five six four"),
    ("clue", """
        glove button handkerchief key candle ribbon pipe ticket boot feather telegram receipt match scarf hairpin
        thimble cigar penknife bottle notebook cufflink needle matchbox monocle cane spur snuffbox pencil bootlace
        photograph coil chisel lantern shawl wig whistle""")]

# "@a.he" writes the first form, or the second if what the register holds is in SECOND. (After a person's register, the
# title decides, where there is one.)
FORMS = {
    "he": ("he", "she"), "He": ("He", "She"), "his": ("his", "her"), "His": ("His", "Her"), "him": ("him", "her"),
    "himself": ("himself", "herself"), "man": ("man", "woman"),
    "it": ("it", "them"), "they": ("it", "they"), "is": ("is", "are"), "was": ("was", "were"),
}
SECOND = frozenset("""
    Miss Mrs. Lady Madame Dame Marchmont Ravenel Flint Loveday Tempest
    pearls letters diamonds plans coins jewels documents medals opals deeds stamps bonds recipes compasses""".split())

RULES = """
STORY = TITLE OPENING LOSS JOURNEY CAST SCENES
TITLE = The adventure of the LOST +thing <eos>
LOST ~ missing stolen vanished hidden forgotten borrowed crimson silver broken secret haunted golden unlucky painted

# --- Baker Street, evening -----------------------------------------------------------------------------------
OPENING = 4 It was a DREARY EVENING in MONTH , and SLEUTH | 2 One DREARY EVENING in MONTH , SLEUTH
  | 1 All EVENING the RAIN had BEATEN against the windows , and SLEUTH | 1 Late one EVENING in MONTH , SLEUTH
SLEUTH = 3 +det and I were PASTIME when CALLER | 2 +det was PASTIME . CALLER
PASTIME = 3 sitting by the fire | 2 playing chess | 2 reading the evening papers | 2 reading a book about HOBBY
  | 1 sorting old THING:pl | 1 listening to the RAIN | 1 writing to a friend in TOWN | 1 studying a map of TOWN
CALLER = +client.title +client ENTERED . LOOK <eos>
ENTERED = 3 came in | 2 entered the room | 1 ran up the stairs | 1 knocked at the door
LOOK = 3 _ | 1 @client.He was PALE . | 1 @client.He carried a OLD THING:sg . | 1 @client.His FACE was PALE .
LOSS = 3 “ The @thing @thing.was in the +room of +place +kind at +hour , and now @thing.they @thing.is
    gone , ” THEFT
  | 2 “ Someone took the @thing from the +room of +place +kind at +hour , ” THEFT
THEFT = SAID:client . DOUBT <eos>
DOUBT = 3 _ | 1 “ Was the @room locked ? ” asked @det . | 1 “ Who knew of @thing.it ? ” asked @det .
  | 1 @client.He drank a glass of WINE .
WINE ~ water wine brandy sherry port milk tea

# --- The house -----------------------------------------------------------------------------------------------
JOURNEY = 3 We took the EARLY train to @place . SIGHT <eos> | 2 By NOON we were at @place @kind . SIGHT <eos>
  | 1 The road to @place was DREARY and DREARY . SIGHT <eos>
SIGHT = 2 _ | 1 Not a BIRD sang in the WOODS . | 3 There was a OLD THING:sg BY the OLD ONE . | 3 The OLD VIEW
ONE = THING:sg | THING:pl
VIEW = 3 THING:sg BY the ONE was STATE . | 2 THING:pl BY the ONE were STATE .
EARLY ~ first early last next morning night
NOON ~ noon dusk nightfall evening breakfast dawn sunset
BIRD ~ bird blackbird thrush robin crow lark
CAST = 3 Three people had slept there : +a.title +a , the +a.job ; +b.title +b , the +b.job ; and +c.title +c ,
    the +c.job . <eos>
  | 1 In the @room three people waited . <eos> The first was +a.title +a , the +a.job . MANNERS:a <eos> The second
    was +b.title +b , the +b.job . MANNERS:b <eos> The last was +c.title +c , the +c.job . MANNERS:c <eos>
MANNERS:x = 2 _ | 2 @x.He was a KIND @x.man with PALE EYES . | 1 @x.His FACE was PALE .
EYES ~ eyes hands hair lips cheeks teeth fingers eyebrows
FACE ~ face voice coat hat hand collar

# --- The inquiry ---------------------------------------------------------------------------------------------
SCENES = SCENE <eos> SCENE <eos> SCENE <eos> INQUIRY
INQUIRY = 19 SCENE <eos> INQUIRY | 1 EVIDENCE
SCENE = 8 TELLING | 5 “ TALK | 1 @det asked WHOM
WHOM = 4 ASK:a | 3 ASK:b | 2 ASK:c | 1 ASK:client
ASK:x = 3 @x about NP . ANSWER:x | 2 @x where @x.he was at @hour . <eos> “ I was ALIBI:x
  | 1 @x to ANSWER , but @x.he MOVE:ed PLACE .
ANSWER:x = <eos> “ START:pres , ” SAID:x . REMARK
ANSWER ~ answer speak listen sit reply move confess
ALIBI:x = 2 in the ROOM with COMPANY:x | 1 asleep , ” SAID:x . REMARK | 2 WHERE , ” SAID:x . REMARK
COMPANY:a = 3 VOUCH:a,b | 2 VOUCH:a,c | 1 VOUCH:a,client
COMPANY:b = 3 VOUCH:b,a | 2 VOUCH:b,c | 1 VOUCH:b,client
COMPANY:c = 3 VOUCH:c,a | 2 VOUCH:c,b | 1 VOUCH:c,client
COMPANY:client = 3 VOUCH:client,a | 2 VOUCH:client,b | 1 VOUCH:client,c
VOUCH:x,y = @y , ” SAID:x . SUPPORT:y
SUPPORT:y = 2 _ | 1 @y nodded ADVERB . | 1 “ That is TRUE , ” said @y . | 2 But @y.title @y VERB:ed NP .
SAID:client = 5 said @client | 2 @client.he said | 3 SPOKE @client
SAID:x = 5 said @x | 2 @x.he said | 3 SPOKE @x | 2 said the @x.job
SPOKE ~ replied answered whispered cried muttered murmured snapped sighed sobbed shouted
REMARK = 6 _ | 1 @det.He wrote it down . | 1 @det looked at me . | 1 I did not believe a word .
  | 1 “ How TRUE , ” said @det .
TRUE ~ true strange likely curious possible absurd unlikely

# Free sentences. t is the tense, n the number. The verb agrees with its subject, however much stands between them.
TELLING = 10 PLAIN:past JOIN | 4 TOLD:a | 3 TOLD:b | 2 TOLD:c | 1 TOLD:client
JOIN = 6 . MORE | 2 , and CLAUSE:past . | 1 , but CLAUSE:past . | 1 while CLAUSE:past . | 1 because CLAUSE:past .
MORE = 1 _ | 1 TELLING
TOLD:x = @x OWN:x THEN:x
THEN:x = 5 . MORE | 2 . @x.He OWN:x THEN:x | 1 , and @x.he OWN:x . | 1 , but CLAUSE:past . | 1 while CLAUSE:past .
OWN:x = 6 VP:past,sg | 1 HELD @x.his THING:sg | 1 HELD @x.his OLD THING:sg
HELD ~ lost carried dropped hid cleaned sold
PLAIN:t = 6 The SUBJECT:t | 2 A SINGLE:t | 2 I ACT:t,pl | 1 No one VP:t,sg | 1 Every PERSON:sg VP:t,sg
START:t = 2 PLAIN:t | 1 NAME VP:t,sg
CLAUSE:t = 6 the SUBJECT:t | 2 a SINGLE:t | 4 NAME VP:t,sg | 2 I ACT:t,pl | 1 no one VP:t,sg | 1 @det ACT:t,sg
SINGLE:t = 1 PERSON:sg WHO:t,sg VP:t,sg | 2 KIND PERSON:sg WHO:t,sg VP:t,sg | 1 THING:sg WHICH DO:t,sg
  | 2 OLD THING:sg WHICH DO:t,sg
SUBJECT:t = 3 LIVING:t | 4 KIND LIVING:t | 2 DEAD:t | 4 OLD DEAD:t | 1 @thing AGAIN:t
AGAIN:past = @thing.was STATE
AGAIN:pres = @thing.is STATE
LIVING:t = 3 PERSON:sg WHO:t,sg VP:t,sg | 2 PERSON:pl WHO:t,pl VP:t,pl
DEAD:t = 3 THING:sg WHICH DO:t,sg | 2 THING:pl WHICH DO:t,pl
WHO:past,n = 5 _ | 2 who VERB:ed NP | 2 WHERE | 1 from TOWN
WHO:pres,n = 4 _ | 3 who VERB:n NP | 2 WHERE | 1 from TOWN
WHICH = 6 _ | 3 WHERE | 1 that NAME had VERB:ed
VP:t,n = 4 ACT:t,n | 1 BE:t,n MIND
ACT:past,n = 7 VERB:ed NP TAIL | 3 MOVE:ed PLACE | 1 had VERB:ed NP TAIL
  | 1 soon VERB:ed NP | 1 could not VERB:pl NP TAIL
  | 1 THINK:ed that CLAUSE:past
ACT:pres,n = 7 VERB:n NP TAIL | 3 MOVE:n PLACE | 1 HAVE:n VERB:ed NP TAIL | 1 often VERB:n NP | 1 must VERB:pl NP TAIL
  | 1 THINK:n that CLAUSE:pres
DO:t,n = 4 BE:t,n STATE | 1 SOUND:t,n TAIL
SOUND:past,n = CREAK:ed
SOUND:pres,n = CREAK:n
BE:past,sg = was
BE:past,pl = were
BE:pres,sg = is
BE:pres,pl = are
HAVE:sg = has
HAVE:pl = have
MIND = 5 PALE | 1 PALE and PALE | 1 too PALE to ANSWER | 1 far from PALE
STATE = 6 OPEN | 1 covered with DUST | 1 full of DUST | 1 not OPEN
WHERE = 4 BY NP | 1 UNDER the THINGS | 3 UNDER the OLD THINGS | 1 UNDER a THING:sg | 1 UNDER a OLD THING:sg
PLACE = 3 WHERE | 3 in the ROOM TAIL
TAIL = 5 _ | 4 ADVERB | 1 at HOUR | 1 before HOUR | 1 without a LOUD WORD | 1 with a LOUD WORD
NP = 7 the OBJECT | 4 a ONLY | 2 NAME | 1 NUMBER OLD THING:pl
OBJECT = 3 THINGS | 6 OLD THINGS | 1 PERSONS | 3 KIND PERSONS | 1 @thing
THINGS = 3 THING:sg WHICH | 2 THING:pl WHICH
PERSONS = 3 PERSON:sg WHOSE | 2 PERSON:pl WHOSE
ONLY = 2 THING:sg WHICH | 4 OLD THING:sg WHICH | 1 PERSON:sg WHOSE | 3 KIND PERSON:sg WHOSE
WHOSE = 6 _ | 1 who had VERB:ed NP | 1 WHERE | 1 from TOWN
NAME = 3 @a | 3 @b | 2 @c | 2 @client

# Talk: the same sentences in the present tense, inside a quotation that must close.
TALK = 6 START:pres UNQUOTE | 2 Do you VERB:pl NP ? ” asked SPEAKER . | 1 Did NAME VERB:pl NP ? ” asked SPEAKER .
  | 1 Who has VERB:ed NP ? ” asked SPEAKER .
UNQUOTE = 4 , ” SAYS | 4 . START:pres UNQUOTE | 1 because CLAUSE:pres , ” SAYS | 1 ! ” cried SPEAKER .
SAYS = 5 said SPEAKER HOW | 5 SPOKE SPEAKER HOW | 1 I said .
HOW = 4 . | 2 ADVERB . | 2 , “ and CLAUSE:pres . ” | 1 , “ but CLAUSE:pres . ”
SPEAKER = 4 @a | 3 @b | 2 @c | 1 @client | 2 @det

# --- The evidence names the culprit: from here on the story knows, and so may the reader ------------------------
EVIDENCE = Then @det FOUND a +clue FINDING . It belonged to CULPRIT
FOUND = 4 found | 1 noticed | 1 picked up
FINDING = in the ROOM | WHERE
CULPRIT = 4 PROOF:a | 3 PROOF:b | 2 PROOF:c | 1 PROOF:client
PROOF:x = @x . REMARK <eos> ENDGAME:x
ENDGAME:x = 3 SCENE <eos> ENDGAME:x | 2 At HOUR @det sent for everyone . “ SOLUTION:x CONFESSION:x
SOLUTION:x = 3 The @clue is yours , @x.title @x , ” @det.he said . <eos>
  | 2 One of you took the @thing , ” @det.he said . “ It was @x . ” <eos>
CONFESSION:x = 3 @x turned PALE . “ MOTIVE , ” @x.he said . <eos> RETURN:x
  | 2 “ MOTIVE , ” SAID:x . <eos> RETURN:x
MOTIVE = 3 I needed the money | 2 No one ever looked at @thing.it | 1 My family is from TOWN and has nothing
  | 1 I would do it again | 1 The @thing @thing.was mine by right | 2 I VERB:ed NP
RETURN:client = The @thing @thing.was WHERE all the time . <eos> HOME
RETURN:x = 3 The @thing @thing.was WHERE . <eos> HOME | 1 @client thanked us ADVERB . <eos> HOME
HOME = “ TRIFLE , ” said @det , and @det.he went PASTTIME . <eos>
TRIFLE = 3 A small matter | 2 It was the @clue | 2 Poor @client | 1 I never liked TOWN | 1 Read me the papers
  | 1 People are strange
PASTTIME = 3 to bed | 2 back to the fire | 1 out into the RAIN | 1 back to a book about HOBBY

# --- Words, the frequent ones first ------------------------------------------------------------------------------
VERB:pl ~ watch follow remember notice admire describe trust miss visit ignore touch mention recognise want
  paint protect defend study avoid praise love hate inspect question guard mock rescue help copy accuse
  blame chase welcome search photograph surprise curse sketch obey rob pity envy collect borrow cover
  startle fancy detest ruin adore respect disturb appreciate discover despise examine imitate insult join
  observe replace resemble save tolerate value weigh
VERB:sg ~ watches follows remembers notices admires describes trusts misses visits ignores touches mentions
  recognises wants paints protects defends studies avoids praises loves hates inspects questions guards
  mocks rescues helps copies accuses blames chases welcomes searches photographs surprises curses sketches
  obeys robs pities envies collects borrows covers startles fancies detests ruins adores respects disturbs
  appreciates discovers despises examines imitates insults joins observes replaces resembles saves tolerates
  values weighs
VERB:ed ~ watched followed remembered noticed admired described trusted missed visited ignored touched
  mentioned recognised wanted painted protected defended studied avoided praised loved hated inspected
  questioned guarded mocked rescued helped copied accused blamed chased welcomed searched photographed
  surprised cursed sketched obeyed robbed pitied envied collected borrowed covered startled fancied detested
  ruined adored respected disturbed appreciated discovered despised examined imitated insulted joined
  observed replaced resembled saved tolerated valued weighed
MOVE:pl ~ walk wait hurry linger wander pause cough work tremble laugh faint listen loiter pray shiver yawn
  limp smoke sneeze whistle dance talk doze rest arrive live
MOVE:sg ~ walks waits hurries lingers wanders pauses coughs works trembles laughs faints listens loiters
  prays shivers yawns limps smokes sneezes whistles dances talks dozes rests arrives lives
MOVE:ed ~ walked waited hurried lingered wandered paused coughed worked trembled laughed fainted listened
  loitered prayed shivered yawned limped smoked sneezed whistled danced talked dozed rested arrived lived
CREAK:pl ~ creak rattle gleam fade tilt drip crumble sparkle glow vanish
CREAK:sg ~ creaks rattles gleams fades tilts drips crumbles sparkles glows vanishes
CREAK:ed ~ creaked rattled gleamed faded tilted dripped crumbled sparkled glowed vanished
THINK:pl ~ believe suspect declare admit claim insist hope doubt deny complain pretend
THINK:sg ~ believes suspects declares admits claims insists hopes doubts denies complains pretends
THINK:ed ~ believed suspected declared admitted claimed insisted hoped doubted denied complained pretended
DREARY ~ cold dark foggy quiet grey wild long strange pleasant dreary stormy bitter lonely gloomy mild
PALE ~ pale calm silent grave angry cold sad red nervous still grim tired white stern sorry hungry ready
  late drunk jealous lonely polite frightened merry bored happy puzzled furious proud certain wrong right
  brave guilty innocent helpless hopeful impatient content desperate
KIND ~ tall proud young thin clever stout quiet cheerful bitter handsome gentle famous rude lazy pious shy
  foolish stubborn foreign faithful lame bold pretty respectable curious greedy bearded modest vain brave
  fat grumpy patient rich poor loyal small-minded dreamy weak strong suspicious mysterious kind wealthy
  blind
OPEN ~ open broken empty dusty locked clean missing wet crooked torn loose burnt scratched stained warm
  hidden useless damp cracked sticky ruined heavy cold bloody gone soaked cheap rotten splendid
  worthless bent silent famous
OLD ~ dull heavy small wooden little new fine rusty cheap painted French marble velvet silver black blue
  brass large green round secret red white leather Chinese gilded yellow beautiful Dutch faded second muddy
  slender dirty silk rotten blood-stained square plain carved perfect battered ghastly twisted narrow clumsy
  Persian Turkish purple
LOUD ~ loud sharp soft sudden heavy timid short terrible hollow double
WORD ~ word sound cry laugh sigh warning whisper cough song smile reason
EVENING ~ evening night afternoon morning
MONTH ~ November October December January March February September April May June August July
RAIN ~ rain wind snow storm hail sleet thunder fog
BEATEN ~ beaten blown rattled whistled hissed drummed
WOODS ~ woods garden hedges trees ivy meadow
TOWN ~ London Paris Vienna York Bath Dover Bombay Cairo Boston Lisbon Oxford Geneva Prague Leeds Hull
NUMBER ~ two three four five six seven eight nine
ADVERB ~ quietly softly slowly gravely coldly calmly sadly sharply gently suddenly warmly dryly bitterly
  stiffly wearily carefully politely nervously firmly proudly twice kindly solemnly rudely thoughtfully
  merrily patiently sleepily foolishly cheerfully
HOUR ~ midnight noon ten nine eleven eight six seven five four three
ROOM ~ library garden kitchen study hall stable cellar gallery drawing-room attic dining-room chapel greenhouse nursery
  orchard pantry courtyard laundry tower music-room boathouse dairy billiard-room conservatory cloakroom vault
THING:sg ~ door window lamp desk clock chair carpet drawer mirror curtain table lock bookcase staircase
  shutter bell cupboard chest screen trunk candlestick fountain gate wall bench chimney barrel rug statuette
  harp kettle saddle key book knife portrait box piano globe fireplace sofa basket ladder candle teapot
  skull sword carriage wardrobe skylight pillow bucket tapestry cabinet safe newspaper hedge lantern sundial
  rope bottle plate pistol telephone typewriter cushion barometer microscope bookshelf parcel hammer shovel
  corkscrew trumpet cello drum flute banner carpet-bag cradle lamp-post wheelbarrow scarecrow tombstone
  doorstep bathtub dustbin suitcase thermometer music-box doll parasol rocking-chair mousetrap birdcage
THING:pl ~ doors windows lamps books curtains chairs keys drawers shutters bottles mirrors flowers candles
  portraits cups ladders gates walls swords bells saddles rugs ropes baskets cushions harps boots gloves
  papers knives plates roses boxes spoons clocks stairs beds tables masks trees pistols ledgers trunks
  paintings carpets hammers barrels pipes feathers trumpets drums suitcases
  parcels blankets pillows statuettes newspapers fountains benches chimneys coats wigs buckets
  screens lanterns globes ovens tombstones
HOBBY ~ bees poisons ships roses moths ghosts mushrooms codes horses clocks stars gloves spiders
PERSON:sg ~ maid servant boy constable sergeant guest neighbour porter driver stranger vicar clerk doctor
  girl sailor policeman beggar burglar soldier baker farmer teacher widow child lodger fiddler bishop
  postman ghost magician hermit barber tailor cobbler judge prisoner plumber dancer singer blacksmith miller
  shepherd pirate detective governess chauffeur dentist gravedigger twin
PERSON:pl ~ servants maids guests boys neighbours constables porters drivers strangers clerks girls sailors
  policemen children soldiers burglars farmers dogs horses cats dancers singers twins prisoners judges
  tailors pirates ladies gentlemen cousins doctors widows fiddlers beggars teachers
BY ~ beside near behind by opposite beyond facing
UNDER ~ under above inside below against outside on over beneath
DUST ~ dust mud ash paint wax ink soot snow water flour
"""
