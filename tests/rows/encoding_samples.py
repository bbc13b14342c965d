# ruff: noqa: RUF001 - the texts of many languages have letters that look alike
"""Reviews in the languages that Python's text encodings are for, written for these tests, and their bytes."""

import unicodedata
from itertools import cycle

SAMPLE_BYTES = 1024

TEXTS = {
    "English": (
        "The waiter’s “special of the day” was a soufflé – cold, and £15 for that!",
        "Our room looked like a café that closed in 1987; the crème brûlée was the best part of our stay.",
        "I’d give it three stars… the naïve façade hides a very decent hotel, and it isn’t expensive at €80.",
        "Don’t believe the photos — it’s smaller than you’d think, but the view’s worth it.",
        "“Never again,” said my wife. I wouldn’t go that far, although the piña colada was mostly water.",
    ),
    "plain Western": (
        "The crème brûlée was cold, and the café closed before we had finished our meal.",
        "A naïve façade hides a very decent hotel; the staff at the reception were helpful and kind.",
        "The touché of the evening was the soufflé, although the waiter forgot our drinks twice.",
        "My fiancée loved the décor, and I liked the price: there is no better place to stay in this street.",
    ),
    "German": (
        "Das Hotel liegt sehr schön am Fluss, aber die Zimmer sind für den Preis viel zu klein.",
        "Das Frühstück war großartig: frische Brötchen, Käse, Müsli und süße Äpfel aus der Gegend.",
        "Leider hörten wir nachts die Straße, und die Tür zum Balkon ließ sich nicht schließen.",
        "Österreichische Küche wie früher, freundliche Bedienung, und übermäßig teuer ist es auch nicht.",
        "Wir würden jederzeit wiederkommen, am liebsten im März oder über die Osterfeiertage.",
    ),
    "French": (
        "L'hôtel est très bien situé, mais la chambre était bruyante et le petit déjeuner à peine tiède.",
        "Le personnel a été charmant du début à la fin, même quand nous sommes arrivés après minuit.",
        "Les draps étaient propres, la salle de bains un peu vétuste, et la fenêtre ne fermait plus.",
        "Je préfère la cuisine d'à côté : un gâteau léger, des légumes frais et un café qui réveille.",
        "Nous y retournerons sûrement cet été, car les enfants ont adoré la piscine et la forêt.",
    ),
    "Spanish": (
        "El hotel está muy bien situado, pero la habitación era pequeña y bastante ruidosa por la mañana.",
        "¿Quién decidió cobrar dos euros por un café frío? ¡Qué vergüenza! No volveré jamás.",
        "La atención fue excelente: el señor de la recepción nos ayudó con el equipaje y los niños.",
        "La película me gustó más de lo que esperaba; el guión es ágil y la música, preciosa.",
        "Además, el tamaño del baño y la limpieza están por encima de la media de la región.",
    ),
    "Portuguese": (
        "O hotel é muito bem localizado, mas o quarto não tinha água quente de manhã.",
        "A refeição estava ótima: pão fresco, feijão, um bom café e doces à vontade.",
        "Infelizmente a televisão não funcionava e ninguém da recepção soube dar uma solução.",
        "As crianças adoraram a praia e a atenção dos funcionários, que são todos muito simpáticos.",
        "Não sei se voltarei no próximo verão, porque o preço já é alto para três pessoas.",
    ),
    "Swedish": (
        "Hotellet låg fint vid sjön, men rummet var för litet och sängen gnällde hela natten.",
        "Frukosten är utmärkt: färskt bröd, ägg, gröt och kaffe så mycket man orkar.",
        "Tyvärr hördes trafiken från gatan, och på kvällen gick det inte att få något att äta.",
        "Vi åker gärna dit igen till våren, för människorna i receptionen är både snälla och roliga.",
        "Filmen är långsam i början men blir bättre när berättelsen väl har kommit i gång.",
    ),
    "Danish": (
        "Hotellet lå smukt ved åen, men værelset var så småt, at kufferten måtte stå på gangen.",
        "Morgenmaden er dejlig: friskt brød, æg, frugt og så meget kaffe, man kan nå at drikke.",
        "Desværre kunne vi høre trafikken, og døren til badeværelset kunne slet ikke lukkes.",
        "Vi kommer gerne igen næste år, for både køkkenet og udsigten over søen er pengene værd.",
        "Filmen er lidt for lang, men børnene lo hele vejen, og det gjorde vi voksne også.",
    ),
    "Icelandic": (
        "Hótelið var á góðum stað við sjóinn, en herbergið var þröngt og rúmið hart.",
        "Morgunverðurinn er frábær: nýbakað brauð, skyr, síld og eins mikið kaffi og maður vill.",
        "Því miður heyrðist í umferðinni alla nóttina og glugginn lokaðist ekki almennilega.",
        "Við ætlum að koma aftur næsta sumar, því fólkið í móttökunni var bæði hjálpsamt og skemmtilegt.",
        "Myndin er hæg í byrjun en verður æ betri þegar sagan er komin af stað. Það þótti mér gott.",
    ),
    "Finnish": (
        "Hotelli oli hyvällä paikalla järven rannalla, mutta huone oli pieni ja sänky kova.",
        "Aamiainen on erinomainen: tuoretta leipää, munia, puuroa ja kahvia niin paljon kuin jaksaa juoda.",
        "Valitettavasti liikenteen äänet kuuluivat koko yön, eikä ikkuna mennyt kunnolla kiinni.",
        "Tulemme mielellämme uudestaan ensi kesänä, sillä henkilökunta oli ystävällistä ja hauskaa väkeä.",
        "Elokuva alkaa hitaasti, mutta paranee, kun tarina pääsee vauhtiin. Näyttelijät ovat hyviä.",
    ),
    "Northern Sami": (
        "Hoteallas lei čáppa sajádat jávrri guoras, muhto latnja lei unni ja seaŋga garas.",
        "Iđitbiebmu lei hui buorre: varas láibi, monit, guolli ja gáffe nu ollu go olmmoš sáhttá juhkat.",
        "Dađi bahábut gulai johtolat olles ija, iige láse sáhttán giddet bures.",
        "Mii boahtit áinnas ođđasit boahtte geasi, daningo olbmot ledje sihke ustitlaččat ja suohttasat.",
        "Filbma álgá njozet, muhto šaddá buorebut go muitalus šaddá čielgasat.",
    ),
    "Polish": (
        "Hotel położony jest pięknie nad rzeką, ale pokój był za mały, a łóżko strasznie skrzypiało.",
        "Śniadanie było świetne: świeże bułki, żółty ser, jajka i tyle kawy, ile kto chciał wypić.",
        "Niestety przez całą noc słychać było ruch uliczny, a okno się nie domykało.",
        "Chętnie wrócimy tam na wiosnę, bo obsługa jest bardzo miła i pomogła nam z bagażami.",
        "Film zaczyna się powoli, ale później wciąga. Najlepsza jest muzyka i zdjęcia gór w październiku.",
    ),
    "Czech": (
        "Hotel leží krásně u řeky, ale pokoj byl příliš malý a postel celou noc vrzala.",
        "Snídaně byla výborná: čerstvé pečivo, sýr, vejce a tolik kávy, kolik jsme chtěli vypít.",
        "Bohužel bylo slyšet auta z ulice a okno nešlo pořádně zavřít, takže jsme skoro nespali.",
        "Určitě se vrátíme na jaře, protože obsluha je moc milá a pomohla nám s těžkými kufry.",
        "Film začíná pomalu, ale potom tě vtáhne. Nejlepší je hudba a záběry hor v říjnu.",
    ),
    "Hungarian": (
        "A szálloda gyönyörű helyen fekszik a folyó partján, de a szoba túl kicsi volt, az ágy pedig nyikorgott.",
        "A reggeli kitűnő: friss zsemle, sajt, tojás és annyi kávé, amennyit csak meg tudtunk inni.",
        "Sajnos egész éjjel hallottuk az autókat, és az ablakot sem lehetett rendesen becsukni.",
        "Tavasszal szívesen visszajövünk, mert a személyzet nagyon kedves volt, és segített a bőröndökkel.",
        "A film lassan indul, később azonban magával ragad. A legjobb a zene és az őszi hegyek képe.",
    ),
    "Romanian": (
        "Hotelul este aşezat frumos lângă râu, dar camera era prea mică, iar patul scârţâia toată noaptea.",
        "Micul dejun a fost grozav: pâine proaspătă, brânză, ouă şi câtă cafea am vrut să bem.",
        "Din păcate se auzea circulaţia de pe stradă, iar fereastra nu se închidea cum trebuie.",
        "Ne vom întoarce cu plăcere la primăvară, fiindcă oamenii de la recepţie sunt foarte drăguţi.",
        "Filmul începe încet, însă mai târziu te prinde. Cea mai bună este muzica şi munţii în toamnă.",
    ),
    "Croatian": (
        "Hotel je lijepo smješten uz rijeku, ali soba je bila premala, a krevet je škripao cijelu noć.",
        "Doručak je odličan: svježe pecivo, sir, jaja i toliko kave koliko čovjek može popiti.",
        "Nažalost cijelu se noć čuo promet s ulice, a prozor se nije mogao dobro zatvoriti.",
        "Rado ćemo se vratiti na proljeće, jer su ljudi na recepciji vrlo ljubazni i pomogli su nam s kovčezima.",
        "Film počinje sporo, ali poslije te uvuče. Najbolja je glazba i slike planina u listopadu.",
    ),
    "Latvian": (
        "Viesnīca atrodas skaistā vietā pie upes, bet istaba bija par mazu un gulta visu nakti čīkstēja.",
        "Brokastis bija lieliskas: svaiga maize, siers, olas un tik daudz kafijas, cik vien var izdzert.",
        "Diemžēl visu nakti dzirdējām satiksmi, un logu nevarēja kārtīgi aizvērt.",
        "Mēs labprāt atgriezīsimies pavasarī, jo cilvēki reģistratūrā ir ļoti laipni un palīdzēja ar somām.",
        "Filma sākas lēni, taču vēlāk aizrauj. Vislabākā ir mūzika un kalnu skati rudenī. Ļoti iesaku!",
    ),
    "Lithuanian": (
        "Viešbutis gražioje vietoje prie upės, bet kambarys buvo per mažas, o lova visą naktį girgždėjo.",
        "Pusryčiai buvo puikūs: šviežia duona, sūris, kiaušiniai ir tiek kavos, kiek tik gali išgerti.",
        "Deja, visą naktį girdėjome eismą, o langas neužsidarė taip, kaip turėtų.",
        "Mielai sugrįšime pavasarį, nes žmonės registratūroje labai malonūs ir padėjo su lagaminais.",
        "Filmas prasideda lėtai, tačiau vėliau įtraukia. Geriausia yra muzika ir kalnų vaizdai rudenį.",
    ),
    "Estonian": (
        "Hotell asub ilusas kohas jõe ääres, kuid tuba oli liiga väike ja voodi kriuksus terve öö.",
        "Hommikusöök oli suurepärane: värske sai, juust, munad ja nii palju kohvi, kui juua jõudsime.",
        "Kahjuks kuulsime öö läbi liiklust ning akent ei saanud korralikult sulgeda.",
        "Tuleme kevadel hea meelega tagasi, sest vastuvõtu töötajad on väga sõbralikud ja abivalmis.",
        "Film algab aeglaselt, kuid hiljem läheb põnevaks. Kõige parem on muusika ja sügisesed mäed.",
    ),
    "Maltese": (
        "Il-lukanda tinsab f’post sabiħ ħdejn il-baħar, imma l-kamra kienet żgħira wisq.",
        "Il-kolazzjon kien tajjeb ħafna: ħobż frisk, ġobon, bajd u kafè kemm trid.",
        "Sfortunatament smajna t-traffiku l-lejl kollu, u t-tieqa ma setgħetx tingħalaq sewwa.",
        "Nerġgħu mmorru bil-qalb fir-rebbiegħa, għax in-nies huma ġentili u għenuna bil-bagalji.",
        "Il-film jibda bil-mod, iżda wara jiġbdek. L-aħjar ħaġa hija l-mużika u ċ-ċpar fuq l-għoljiet.",
    ),
    "Welsh": (
        "Mae’r gwesty mewn lle hardd wrth yr afon, ond roedd yr ystafell yn rhy fach i’r tŷ cyfan.",
        "Roedd y brecwast yn ŵyl: bara ffres, caws, ŵyau a chymaint o goffi ag y gallem ei yfed.",
        "Yn anffodus clywsom y ffordd drwy’r nos, ac nid oedd y ffenestr yn cau’n iawn; tŵr o sŵn.",
        "Byddwn yn dychwelyd yn y gwanwyn, gan fod y bobl yn gyfeillgar a’r dŵr yn y pwll yn gynnes.",
    ),
    "Turkish": (
        "Otel nehrin kıyısında güzel bir yerde, ama oda çok küçüktü ve yatak bütün gece gıcırdadı.",
        "Kahvaltı harikaydı: taze ekmek, peynir, yumurta ve içebildiğiniz kadar çay ve kahve.",
        "Ne yazık ki bütün gece trafiği duyduk, pencere de doğru dürüst kapanmıyordu.",
        "İlkbaharda seve seve yine geleceğiz, çünkü resepsiyondaki insanlar çok nazik ve yardımsever.",
        "Film yavaş başlıyor, fakat sonra insanı içine çekiyor. En güzeli müziği ve sonbaharda dağlar. Şahane!",
    ),
    "Russian": (
        "Гостиница стоит в красивом месте у реки, но номер оказался слишком маленьким, а кровать скрипела всю ночь.",
        "Завтрак был отличный: свежий хлеб, сыр, яйца и сколько угодно кофе.",
        "К сожалению, всю ночь было слышно машины, а окно толком не закрывалось.",
        "Весной с удовольствием приедем ещё раз, потому что люди в гостинице очень приветливые.",
    ),
    "Ukrainian": (
        "Готель стоїть у гарному місці біля річки, але номер був замалий, а ліжко рипіло всю ніч.",
        "Сніданок був чудовий: свіжий хліб, сир, яйця і стільки кави, скільки хочеш.",
        "На жаль, усю ніч було чути машини, а вікно до пуття не зачинялося.",
        "Навесні залюбки приїдемо ще раз, бо люди в готелі дуже привітні й допомогли з валізами. Є куди піти.",
    ),
    "Bulgarian": (
        "Хотелът е на хубаво място край реката, но стаята беше твърде малка, а леглото скърцаше цяла нощ.",
        "Закуската беше чудесна: пресен хляб, сирене, яйца и колкото кафе искаш.",
        "За съжаление цяла нощ се чуваха колите, а прозорецът не се затваряше добре.",
        "През пролетта с удоволствие ще дойдем пак, защото хората на рецепцията са много любезни.",
    ),
    "Kazakh": (
        "Қонақүй өзен жағасындағы әдемі жерде орналасқан, бірақ бөлме тым кішкентай болды.",
        "Таңғы ас өте жақсы: жаңа піскен нан, ірімшік, жұмыртқа және қалағанынша шай.",
        "Өкінішке қарай, түні бойы көліктердің дауысы естілді, ал терезе дұрыс жабылмады.",
        "Көктемде қуана қайта келеміз, себебі қызметкерлер өте мейірімді және жүкті көтеруге көмектесті.",
    ),
    "Tajik": (
        "Меҳмонхона дар ҷои зебо дар назди дарё ҷойгир аст, аммо ҳуҷра хеле хурд буд.",
        "Наҳорӣ хеле хуб буд: нони тоза, панир, тухм ва чой ҳар қадар ки хоҳӣ.",
        "Бадбахтона, тамоми шаб садои мошинҳо шунида мешуд ва тиреза хуб пӯшида намешуд.",
        "Баҳор бо хушнудӣ боз меоем, зеро одамон хеле меҳрубонанд ва ба мо кӯмак карданд. Ғизо низ хуб аст.",
    ),
    "Greek": (
        "Το ξενοδοχείο βρίσκεται σε όμορφο μέρος δίπλα στο ποτάμι, αλλά το δωμάτιο ήταν πολύ μικρό.",
        "Το πρωινό ήταν εξαιρετικό: φρέσκο ψωμί, τυρί, αυγά και όσο καφέ ήθελε κανείς.",
        "Δυστυχώς όλη τη νύχτα ακούγαμε τα αυτοκίνητα και το παράθυρο δεν έκλεινε καλά.",
        "Την άνοιξη θα ξαναπάμε με χαρά, γιατί οι άνθρωποι στην υποδοχή είναι πολύ ευγενικοί.",
    ),
    "Hebrew": (
        "המלון נמצא במקום יפה ליד הנהר, אבל החדר היה קטן מדי והמיטה חרקה כל הלילה.",
        "ארוחת הבוקר הייתה מצוינת: לחם טרי, גבינה, ביצים וקפה כמה שרוצים.",
        "לצערנו שמענו כל הלילה את המכוניות מהרחוב, והחלון לא נסגר כמו שצריך.",
        "נשמח לחזור באביב, כי האנשים בקבלה אדיבים מאוד ועזרו לנו עם המזוודות.",
    ),
    "Arabic": (
        "يقع الفندق في مكان جميل بجانب النهر، لكن الغرفة كانت صغيرة جدا وكان السرير يصدر صوتا طوال الليل.",
        "كان الفطور رائعا: خبز طازج وجبن وبيض وقهوة بقدر ما تريد.",
        "للأسف سمعنا السيارات طوال الليل، ولم تكن النافذة تغلق جيدا.",
        "سنعود بكل سرور في الربيع، لأن الناس في الاستقبال لطفاء جدا وساعدونا في حمل الحقائب.",
    ),
    "Persian": (
        "هتل در جای زیبایی کنار رودخانه است، اما اتاق خیلی کوچک بود و تخت تمام شب صدا می‌داد.",
        "صبحانه عالی بود: نان تازه، پنیر، تخم مرغ و هر چقدر چای که بخواهی.",
        "متأسفانه تمام شب صدای ماشین‌ها را می‌شنیدیم و پنجره خوب بسته نمی‌شد.",
        "بهار با کمال میل دوباره می‌آییم، چون آدم‌های پذیرش خیلی مهربان بودند و گفتند که باز هم بیایید.",
    ),
    "Vietnamese": (
        "Khách sạn nằm ở một nơi rất đẹp bên bờ sông, nhưng phòng quá nhỏ và giường kêu suốt đêm.",
        "Bữa sáng tuyệt vời: bánh mì mới, phô mai, trứng và cà phê uống bao nhiêu cũng được.",
        "Tiếc là cả đêm chúng tôi nghe tiếng xe cộ ngoài đường, còn cửa sổ thì không đóng kín được.",
        "Mùa xuân chúng tôi sẽ vui vẻ trở lại, vì nhân viên lễ tân rất tử tế và đã giúp mang hành lý.",
    ),
    "Thai": (
        "โรงแรมตั้งอยู่ในที่สวยงามริมแม่น้ำ แต่ห้องเล็กเกินไปและเตียงมีเสียงดังทั้งคืน",
        "อาหารเช้าดีมาก มีขนมปังสดใหม่ ชีส ไข่ และกาแฟเท่าที่อยากดื่ม",
        "น่าเสียดายที่ได้ยินเสียงรถตลอดทั้งคืน และหน้าต่างก็ปิดไม่สนิท",
        "ฤดูหน้าเราจะกลับมาอีกด้วยความยินดี เพราะพนักงานใจดีมากและช่วยยกกระเป๋า",
    ),
    "Japanese": (
        "ホテルは川沿いのきれいな場所にありますが、部屋が狭すぎて、ベッドは一晩中きしんでいました。",
        "朝食は最高でした。焼きたてのパン、チーズ、卵、そしてコーヒーは飲み放題です。",
        "残念ながら夜通し車の音が聞こえ、窓もきちんと閉まりませんでした。",
        "春になったらまた喜んで行きたいと思います。受付の人たちがとても親切で、荷物を運んでくれたからです。",
        "映画の始まりはゆっくりですが、だんだん引き込まれます。音楽と秋の山の景色が特に良かったです。",
    ),
    "Korean": (
        "호텔은 강가의 아름다운 곳에 있지만 방이 너무 작고 침대가 밤새 삐걱거렸습니다.",
        "아침 식사는 훌륭했습니다. 갓 구운 빵과 치즈, 달걀, 그리고 커피는 마음껏 마실 수 있어요.",
        "아쉽게도 밤새도록 자동차 소리가 들렸고 창문도 제대로 닫히지 않았습니다.",
        "봄에 기쁜 마음으로 다시 가겠습니다. 직원들이 아주 친절하고 짐을 들어 주었기 때문입니다.",
        "영화는 처음에는 느리지만 갈수록 빠져듭니다. 음악과 가을 산의 풍경이 가장 좋았습니다.",
    ),
    "Simplified Chinese": (
        "酒店位于河边，环境很美，但是房间太小，床整夜吱吱作响，根本睡不好。",
        "早餐非常好：新鲜的面包、奶酪、鸡蛋，咖啡想喝多少就喝多少。",
        "可惜整个晚上都能听到外面的汽车声，窗户也关不严，希望以后能改进。",
        "春天我们很愿意再来，因为前台的工作人员非常热情，还帮我们搬行李。",
        "电影开头比较慢，后来越来越吸引人，最好的是音乐和秋天的山景，值得一看。",
    ),
    "Traditional Chinese": (
        "飯店位於河邊，環境很美，但是房間太小，床整夜吱吱作響，根本睡不好。",
        "早餐非常好：新鮮的麵包、乳酪、雞蛋，咖啡想喝多少就喝多少。",
        "可惜整個晚上都能聽到外面的汽車聲，窗戶也關不緊，希望以後能改進。",
        "春天我們很願意再來，因為櫃檯的工作人員非常熱情，還幫我們搬行李。",
        "電影開頭比較慢，後來越來越吸引人，最好的是音樂和秋天的山景，值得一看。",
    ),
    "Cantonese": (
        "酒店喺河邊，個環境好靚，但係間房太細，張床成晚都嘈住晒，瞓得唔好。",
        "早餐真係好正：啲麵包新鮮，芝士同雞蛋都有，咖啡任飲，佢哋仲會加添。",
        "可惜成晚都聽到出面啲車聲，個窗又閂唔實，希望佢哋遲啲會整返好。",
        "春天我哋一定會再嚟，因為啲職員好有禮貌，仲幫我哋搬埋啲行李添。",
    ),
    "Urdu": (
        "ہوٹل دریا کے کنارے ایک خوبصورت جگہ پر ہے لیکن کمرہ بہت چھوٹا تھا",
        "ناشتہ بہت اچھا تھا تازہ روٹی پنیر انڈے اور جتنی چاہو چائے",
        "افسوس کہ ساری رات گاڑیوں کی آواز آتی رہی اور کھڑکی ٹھیک سے بند نہیں ہوتی تھی",
    ),
}

# Every text encoding of Python that a file may have, with languages that it was made for.
LANGUAGES = {
    "big5": ["Traditional Chinese"],
    "big5hkscs": ["Cantonese"],
    "cp037": ["plain Western"],
    "cp1006": ["Urdu"],
    "cp1026": ["Turkish"],
    "cp1125": ["Ukrainian"],
    "cp1140": ["German"],
    "cp1250": ["Polish", "Czech", "Hungarian", "Romanian", "Croatian"],
    "cp1251": ["Russian", "Ukrainian", "Bulgarian"],
    "cp1252": ["English", "German", "French", "Spanish", "Portuguese", "Swedish", "Danish", "Finnish"],
    "cp1253": ["Greek"],
    "cp1254": ["Turkish"],
    "cp1255": ["Hebrew"],
    "cp1256": ["Arabic"],
    "cp1257": ["Lithuanian", "Latvian", "Estonian"],
    "cp1258": ["Vietnamese"],
    "cp273": ["German"],
    "cp424": ["Hebrew"],
    "cp437": ["plain Western", "German"],
    "cp500": ["French"],
    "cp720": ["Arabic"],
    "cp737": ["Greek"],
    "cp775": ["Lithuanian", "Latvian"],
    "cp850": ["German", "French", "Spanish"],
    "cp852": ["Polish", "Czech", "Hungarian"],
    "cp855": ["Russian", "Bulgarian"],
    "cp856": ["Hebrew"],
    "cp857": ["Turkish"],
    "cp858": ["German"],
    "cp860": ["Portuguese"],
    "cp861": ["Icelandic"],
    "cp862": ["Hebrew"],
    "cp863": ["French"],
    "cp864": ["Arabic"],
    "cp865": ["Danish"],
    "cp866": ["Russian"],
    "cp869": ["Greek"],
    "cp874": ["Thai"],
    "cp875": ["Greek"],
    "cp932": ["Japanese"],
    "cp949": ["Korean"],
    "cp950": ["Traditional Chinese"],
    "euc_jis_2004": ["Japanese"],
    "euc_jisx0213": ["Japanese"],
    "euc_jp": ["Japanese"],
    "euc_kr": ["Korean"],
    "gb18030": ["Simplified Chinese"],
    "gb2312": ["Simplified Chinese"],
    "gbk": ["Simplified Chinese"],
    "hp-roman8": ["German", "French"],
    "hz": ["Simplified Chinese"],
    "iso2022_jp": ["Japanese"],
    "iso2022_jp_1": ["Japanese"],
    "iso2022_jp_2": ["Japanese"],
    "iso2022_jp_2004": ["Japanese"],
    "iso2022_jp_3": ["Japanese"],
    "iso2022_jp_ext": ["Japanese"],
    "iso2022_kr": ["Korean"],
    "iso8859-1": ["German", "French", "Icelandic"],
    "iso8859-10": ["Northern Sami"],
    "iso8859-11": ["Thai"],
    "iso8859-13": ["Lithuanian", "Latvian"],
    "iso8859-14": ["Welsh"],
    "iso8859-15": ["French", "Finnish"],
    "iso8859-16": ["Romanian"],
    "iso8859-2": ["Polish", "Czech", "Hungarian"],
    "iso8859-3": ["Maltese"],
    "iso8859-4": ["Latvian"],
    "iso8859-5": ["Russian"],
    "iso8859-6": ["Arabic"],
    "iso8859-7": ["Greek"],
    "iso8859-8": ["Hebrew"],
    "iso8859-9": ["Turkish"],
    "johab": ["Korean"],
    "koi8-r": ["Russian"],
    "koi8-t": ["Tajik"],
    "koi8-u": ["Ukrainian"],
    "kz1048": ["Kazakh"],
    "mac-arabic": ["Arabic"],
    "mac-croatian": ["Croatian"],
    "mac-cyrillic": ["Russian"],
    "mac-farsi": ["Persian"],
    "mac-greek": ["Greek"],
    "mac-iceland": ["Icelandic"],
    "mac-latin2": ["Polish", "Czech"],
    "mac-roman": ["German", "French"],
    "mac-romanian": ["Romanian"],
    "mac-turkish": ["Turkish"],
    "palmos": ["English"],
    "ptcp154": ["Kazakh"],
    "shift_jis": ["Japanese"],
    "shift_jis_2004": ["Japanese"],
    "shift_jisx0213": ["Japanese"],
    "tis-620": ["Thai"],
    "utf-16": ["English", "Japanese"],
    "utf-16-be": ["German", "Russian"],
    "utf-16-le": ["German", "Russian"],
    "utf-32": ["English"],
    "utf-32-be": ["German"],
    "utf-32-le": ["German"],
}

_SIMPLER = {
    "’": "'",
    "‘": "'",
    "“": '"',
    "”": '"',
    "–": "-",
    "—": "-",
    "…": "...",
    "€": "EUR ",
    "\u200c": " ",
    "ş": "ș",
    "ţ": "ț",
}


def sample(encoding: str, language: str) -> tuple[bytes, str]:
    """Return a CSV file of reviews in an encoding, about `SAMPLE_BYTES` long, and its text.

    Characters that the encoding lacks are left out or replaced by simpler ones, as the authors of such files had to.
    """
    text = "id,text\n"
    for number, sentence in enumerate(cycle(TEXTS[language]), start=1):
        written = "".join(_written(char, encoding) for char in _composed(sentence, encoding))
        text += f'{number},"{written.replace(chr(34), chr(34) * 2)}"\n'
        if len(text.encode(encoding)) >= SAMPLE_BYTES:
            return text.encode(encoding), text
    raise AssertionError


def _composed(sentence: str, encoding: str) -> str:
    """Return a sentence as the encoding spells it: Vietnamese of Windows has tones of their own, old Arabic has shapes."""
    if encoding == "cp1258":
        return "".join(_with_tone(char) for char in sentence)
    if encoding in ("cp864", "cp1006"):
        return _shaped(sentence, encoding)
    return sentence


def _with_tone(char: str) -> str:
    if _fits(char, "cp1258"):
        return char
    parts = unicodedata.normalize("NFD", char)
    tones = "".join(part for part in parts if part in "\u0300\u0301\u0303\u0309\u0323")
    rest = "".join(part for part in parts if part not in tones)
    return unicodedata.normalize("NFC", rest) + tones


def _shaped(sentence: str, encoding: str) -> str:
    shapes: dict[str, dict[str, str]] = {}
    for byte in range(0x80, 0x100):
        char = bytes([byte]).decode(encoding, "replace")
        kind, *letters = unicodedata.decomposition(char).split() or [""]
        if kind.startswith("<") and len(letters) == 1:
            shapes.setdefault(chr(int(letters[0], 16)), {})[kind] = char
    joined = {letter for letter, forms in shapes.items() if forms.keys() & {"<initial>", "<medial>"}}
    written = ""
    for before, char, after in zip(" " + sentence, sentence, sentence[1:] + " ", strict=False):
        forms = shapes.get(char)
        if forms is None:
            written += char
            continue
        start, end = before in joined, after in shapes and char in joined
        wanted = {(0, 0): "<isolated>", (0, 1): "<initial>", (1, 0): "<final>", (1, 1): "<medial>"}[start, end]
        nearest = {"<medial>": "<initial>", "<initial>": "<isolated>", "<final>": "<isolated>", "<isolated>": "<final>"}
        written += forms.get(wanted) or forms.get(nearest[wanted]) or next(iter(forms.values()))
    return written


def _written(char: str, encoding: str) -> str:
    for candidate in (char, _SIMPLER.get(char, ""), unicodedata.normalize("NFKC", char), char.lower()):
        if candidate and _fits(candidate, encoding):
            return candidate
    base = unicodedata.normalize("NFD", char)[0]
    return base if _fits(base, encoding) else ""


def _fits(text: str, encoding: str) -> bool:
    try:
        return text.encode(encoding).decode(encoding) == text
    except UnicodeError:
        return False
